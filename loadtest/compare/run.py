"""Peers by turns: rounds at several numbers of requests at once, then what Whisper makes of what they said."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from loadtest.compare.listening import Listened, Text, listen
from loadtest.compare.peer import Peer
from loadtest.workload.texts import Length, TextMix
from serve_app.errors import StartupError

Echo = Callable[[str], None]


@dataclass(frozen=True)
class CompareOptions:
    """`num_texts` at each level and round, or as many as are spoken at once if that is more."""

    levels: tuple[int, ...] = (1, 4, 16)
    num_rounds: int = 2
    num_texts: int = 8
    languages: tuple[str, ...] = ("en",)
    deadline_s: float = 900.0
    seed: int = 1

    def __post_init__(self) -> None:
        assert self.levels and all(level > 0 for level in self.levels)
        assert self.num_rounds > 0 and self.num_texts > 0


@dataclass(frozen=True)
class Round:
    """One peer's turn: the texts in their order, all begun within `wall_s`."""

    level: int
    wall_s: float
    spoken: tuple[Listened, ...]

    @property
    def audio_s_per_s(self) -> float:
        return sum(each.audio_s for each in self.spoken) / self.wall_s


@dataclass
class Comparison:
    options: CompareOptions
    texts: tuple[Text, ...]
    rounds: dict[str, list[Round]] = field(default_factory=dict)  # of each peer

    def at(self, peer: str, level: int) -> list[Round]:
        return [each for each in self.rounds[peer] if each.level == level]

    def first_take(self, peer: str) -> list[tuple[Text, Listened]]:
        """What it said when it was alone: each text once."""
        return list(zip(self.texts, self.rounds[peer][0].spoken, strict=False))


def texts_of(options: CompareOptions) -> tuple[Text, ...]:
    mix, rng = TextMix(options.languages, {Length.TURN: 1, Length.SENTENCE: 3}), Random(options.seed)
    num = max(options.num_texts, *options.levels)
    drawn = (mix.draw(rng) for _ in range(num))
    return tuple(Text(each.text, each.language, seed) for seed, each in enumerate(drawn))


async def compare(peers: Sequence[Peer], options: CompareOptions, echo: Echo) -> Comparison:
    """Each peer speaks once to warm up. Who begins changes with the round, and only one peer is busy at a time.

    Raises `StartupError` where a peer cannot speak a first text.
    """
    found = Comparison(options, texts_of(options), {peer.name: [] for peer in peers})
    for peer in peers:
        heard = await listen(peer.address, found.texts[0], peer.voice, options.deadline_s)
        if heard.why:
            raise StartupError(f"{peer.name} does not speak: {heard.why}")
    for level in options.levels:
        texts = found.texts[: max(level, options.num_texts)]
        for number in range(options.num_rounds):
            shift = number % len(peers)
            for peer in (*peers[shift:], *peers[:shift]):
                turn = await _turn(peer, texts, level, options.deadline_s)
                found.rounds[peer.name].append(turn)
                failed = [each.why for each in turn.spoken if each.why]
                told = f"; {len(failed)} failed: {failed[0]}" if failed else ""
                echo(f"{level} at once, {peer.name}: {turn.audio_s_per_s:.2f} s of audio a second{told}")
    return found


async def _turn(peer: Peer, texts: Sequence[Text], level: int, deadline_s: float) -> Round:
    waiting, spoken = iter(enumerate(texts)), {}

    async def caller() -> None:
        for index, text in waiting:
            spoken[index] = await listen(peer.address, text, peer.voice, deadline_s)

    started_s = time.monotonic()
    await asyncio.gather(*(caller() for _ in range(level)))
    return Round(level, time.monotonic() - started_s, tuple(spoken[index] for index in range(len(texts))))
