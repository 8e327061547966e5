"""Sentences through the engine, side by side and heard in order; those that go wrong are split or spoken anew."""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import count

from serve_app import metrics
from serve_app.audio.silence import SilenceLimiter
from serve_app.engine.engine import Engine
from serve_app.engine.sequence import WHOLE, Prompt, SamplingParams, SequenceOutput, streaming_chunks
from serve_app.errors import CeilingReached, ServiceError, SynthesisFailed
from serve_app.metrics import Metrics
from serve_app.model.config import SAMPLE_RATE_HZ, ModelConfig
from serve_app.model.tokenizer import Tokenizer
from serve_app.settings import Settings
from serve_app.speech.prosody import PLAIN, Shaper
from serve_app.speech.request import SpeechRequest
from serve_app.speech.script import Script, Sentence
from serve_app.speech.voice_room import SpokenVoice
from serve_app.text.languages import CODES_PER_S, expected_codes
from serve_app.text.sentences import split_in_half

logger = logging.getLogger(__name__)

MAX_SPLITS = 3  # times a sentence that reaches the model's end is halved before the request fails
# No sentence takes longer than so many times what is expected, and a second more (tests/end_to_end/test_hearing.py).
CEILING_FACTOR, CEILING_EXTRA_CODES = 2.0, 22
AGAIN = -1  # in a sentence's path: the second try


@dataclass(eq=False)
class SpokenSentence:
    """One sentence on its way through the engine. `outputs` ends with None, or with the error it failed of."""

    outputs: "asyncio.Queue[SequenceOutput | ServiceError | None]" = field(default_factory=asyncio.Queue)
    is_heard: bool = False  # some of it has left the service, so it cannot be spoken anew

    def take_back(self) -> None:
        """Drops what nobody has heard."""
        assert not self.is_heard
        while not self.outputs.empty():
            self.outputs.get_nowait()


@dataclass(frozen=True)
class Plan:
    """A request after its text and voice stages."""

    script: Script
    voices: list[SpokenVoice]  # of each turn
    request: SpeechRequest
    seed: int
    warnings: list[str] = field(default_factory=list)  # what went wrong on the way


class SentenceSpeaker:
    """Speaks plans, many at once, in one engine."""

    def __init__(
        self, config: ModelConfig, tokenizer: Tokenizer, engine: Engine, settings: Settings, recorder: Metrics
    ) -> None:
        self._config, self._tokenizer, self._engine = config, tokenizer, engine
        self._max_ahead, self._metrics = settings.max_slots_per_request, recorder
        self._streaming_chunks = streaming_chunks(int(settings.max_chunk_s * CODES_PER_S))
        self._can_lose_its_way = config.fixed_codes_per_token is None

    async def speak(self, plan: Plan) -> AsyncGenerator[tuple[int, SequenceOutput]]:
        """Outputs in the text's order. Sentences run side by side, a bounded number ahead of the one that is heard."""
        ahead: deque[SpokenSentence] = deque()
        tasks: list[asyncio.Task[None]] = []
        try:
            for index in count():
                sentences = plan.script.sentences
                if len(sentences) < index + self._max_ahead and not plan.script.is_whole:
                    await asyncio.to_thread(plan.script.extend, index + self._max_ahead)
                if index == len(sentences):
                    break
                while len(tasks) < min(index + self._max_ahead, len(sentences)):
                    ahead.append(SpokenSentence())
                    heard_before = sentences[index : len(tasks)]
                    wait_s = sum(each.expected_s for each in heard_before)
                    tasks.append(asyncio.create_task(self._speak_sentence(plan, len(tasks), wait_s, ahead[-1])))
                async for output in self._heard(plan, sentences[index], ahead.popleft()):
                    yield index, output
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _heard(self, plan: Plan, sentence: Sentence, spoken: SpokenSentence) -> AsyncGenerator[SequenceOutput]:
        """A sentence's outputs, without its long silences, as high and as loud as its emotion asks."""
        prosody = plan.voices[sentence.turn_index].prosody
        if prosody == PLAIN:
            async for output in self._limited(plan, spoken):
                yield output
            return
        shaper = Shaper(prosody, SAMPLE_RATE_HZ)
        async for output in self._limited(plan, spoken):
            yield replace(output, samples=shaper.feed(output.samples))
        if len(rest := shaper.finish()):
            yield SequenceOutput(rest, 0)

    async def _limited(self, plan: Plan, spoken: SpokenSentence) -> AsyncGenerator[SequenceOutput]:
        if not (plan.request.guards.silence and self._can_lose_its_way):
            async for output in _outputs(spoken):
                yield output
            return
        limiter = SilenceLimiter(SAMPLE_RATE_HZ)
        async for output in _outputs(spoken):
            yield replace(output, samples=limiter.feed(output.samples))
        if len(rest := limiter.finish()):
            yield SequenceOutput(rest, 0)
        if limiter.num_cut:
            self._metrics.add(metrics.MENDED, by="silence")

    async def _speak_sentence(self, plan: Plan, index: int, delay_s: float, spoken: SpokenSentence) -> None:
        """Fills `spoken`. A failure is an item of its queue, so that it is met in the text's order."""
        try:
            await self._generate(plan, plan.script.sentences[index], (index,), delay_s, spoken)
            spoken.outputs.put_nowait(None)
        except ServiceError as error:
            spoken.outputs.put_nowait(error)
        except Exception:
            logger.exception("a sentence failed in a way that nobody foresaw")
            spoken.outputs.put_nowait(SynthesisFailed("the sentence could not be spoken: the service's log says why"))

    async def _generate(
        self, plan: Plan, sentence: Sentence, path: tuple[int, ...], delay_s: float, spoken: SpokenSentence
    ) -> None:
        """One sentence; or its halves, where the model comes to its last position before it says stop."""
        is_first_try = len(path) == 1
        try:
            await self._guarded(plan, sentence, path, delay_s, spoken)
        except CeilingReached:
            halves = split_in_half(sentence.text, sentence.language)
            if halves is None or len(path) > MAX_SPLITS or (is_first_try and spoken.is_heard):
                raise
            if is_first_try:
                spoken.take_back()  # later tries hand over nothing before they are whole
            for number, half in enumerate(halves):
                await self._generate(plan, replace(sentence, text=half), (*path, number), 0.0, spoken)

    async def _guarded(
        self, plan: Plan, sentence: Sentence, path: tuple[int, ...], delay_s: float, spoken: SpokenSentence
    ) -> None:
        """One sequence; and another with other noise, where a guard ends the first before anyone has heard of it."""
        is_again = path[-1] == AGAIN
        num_put = 0
        async with aclosing(self._engine.generate(self._prompt(plan, sentence, path, delay_s))) as outputs:
            async for output in outputs:
                is_lost = output.finish_reason is not None and output.finish_reason.is_guards
                is_unheard = num_put == 0 or (len(path) == 1 and not spoken.is_heard)
                if is_lost and is_unheard and not is_again and plan.request.guards.retry:
                    break
                if is_lost:
                    plan.warnings.append(f"the model lost its way and was stopped in: {sentence.text}")
                spoken.outputs.put_nowait(output)
                num_put += 1
            else:
                return
        if num_put:
            spoken.take_back()
        self._metrics.add(metrics.MENDED, by="retry")
        await self._guarded(plan, sentence, (*path, AGAIN), 0.0, spoken)

    def _prompt(self, plan: Plan, sentence: Sentence, path: tuple[int, ...], delay_s: float) -> Prompt:
        tokens = tuple(self._tokenizer.encode(sentence.text, sentence.language))
        voice, turn = plan.voices[sentence.turn_index], plan.request.turns[sentence.turn_index]
        defaults, asked = self._config.sampling, plan.request.sampling
        temperature = defaults.temperature if asked.temperature is None else asked.temperature
        per_token = self._config.fixed_codes_per_token
        sampling = SamplingParams(
            temperature=voice.prosody.sampling_temperature(temperature),
            top_k=defaults.top_k if asked.top_k is None else asked.top_k,
            top_p=defaults.top_p if asked.top_p is None else asked.top_p,
            repetition_penalty=(
                defaults.repetition_penalty if asked.repetition_penalty is None else asked.repetition_penalty
            ),
            seed=derive_seed(plan.seed, path),
            num_forced_codes=None if per_token is None else max(1, round(per_token * len(tokens))),
        )
        is_whole = len(path) > 1 or not plan.request.is_streaming
        guards = plan.request.guards
        chunk_codes = WHOLE if is_whole else self._streaming_chunks
        is_continuation = path != (0,)  # a full queue refuses a request at its first sentence or not at all
        return Prompt(
            tokens,
            voice.latents,
            sampling,
            voice.prosody.vocoder_speed(turn.speed),
            chunk_codes,
            delay_s,
            is_continuation,
            max_codes=self._ceiling(sentence) if guards.ceiling and self._can_lose_its_way else None,
            ends_loops=guards.loops and self._can_lose_its_way,
        )

    def _ceiling(self, sentence: Sentence) -> int | None:
        """Codes after which the text has surely been said; None where the model's own end comes first."""
        most = round(CEILING_FACTOR * expected_codes(sentence.text, sentence.language)) + CEILING_EXTRA_CODES
        return most if most < self._config.gpt.max_codes else None


async def _outputs(spoken: SpokenSentence) -> AsyncGenerator[SequenceOutput]:
    while True:
        output = await spoken.outputs.get()
        if output is None:
            return
        if isinstance(output, ServiceError):
            raise output
        spoken.is_heard = True
        yield output


def derive_seed(seed: int, path: tuple[int, ...]) -> int:
    """A sentence's seed, [0, 2⁶³): sentences of one text differ, and each is the same whenever it is spoken again."""
    digest = hashlib.blake2b(repr((seed, path)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
