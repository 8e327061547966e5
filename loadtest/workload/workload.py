"""The endless sequence of requests of one preset and seed."""

from collections.abc import Callable, Collection, Mapping, Sequence
from random import Random
from typing import TypeVar

from loadtest.workload.presets import Preset
from loadtest.workload.request import Format, Request, Voice, Way
from loadtest.workload.texts import TextMix

MakeRecording = Callable[[Random], bytes]  # a file of speech, another one each time
UPLOAD_SHARE = 0.5  # of the streams with a recording; the others carry it in base64
MAX_SEED = 2**31

T = TypeVar("T")


class Workload:
    """Draws all that it draws from one generator, so the same arguments give the same requests.

    `languages` are those that the served model speaks, `named` the voices that may be asked for by name. `record` makes
    the recordings that clients bring; without it nobody brings one. Raises `ValueError` for languages without a text.

    A cold voice is cold once: who loads the same service again takes another seed. A recording takes milliseconds to
    make: who sends at exact times draws requests ahead.
    """

    def __init__(
        self,
        preset: Preset,
        seed: int,
        languages: Collection[str],
        record: MakeRecording | None = None,
        named: Sequence[str] = ("default",),
    ) -> None:
        assert named, "somebody must speak"
        self._preset, self._named, self._record = preset, tuple(named), record
        self._rng = Random(f"workload {seed}")  # not `seed` itself: who draws arrivals with it must not draw the same
        self._texts = TextMix(languages, preset.lengths, preset.english_share)
        self._num_drawn = 0
        brings_any = record is not None and preset.cloned_share > 0.0
        num = preset.num_recordings if brings_any else 0
        self._known = [Voice(recording=record(self._rng)) for _ in range(num)] if record is not None else []

    @property
    def languages(self) -> Sequence[str]:
        """Those of the texts."""
        return self._texts.languages

    @property
    def known_voices(self) -> Sequence[Voice]:
        """Those that are warm once each has been asked for: have them speak before anything is measured."""
        return [*(Voice(name) for name in self._named), *self._known]

    def next(self, num_chars: int | None = None) -> Request:
        """`num_chars`: about how long its text shall be, where something else knows; else that is drawn too."""
        rng, preset = self._rng, self._preset
        text, voice = self._texts.draw(rng, num_chars), self._voice()
        way = self._way(voice)
        format_ = Format.WAV if way is Way.WHOLE else _drawn(rng, preset.formats)
        self._num_drawn += 1
        return Request(
            number=self._num_drawn,
            text=text,
            voice=voice,
            way=way,
            format=format_,
            speed=_drawn(rng, preset.speeds),
            seed=rng.randrange(MAX_SEED),
            is_sampled=rng.random() < preset.sampled_share and format_.is_exact,
        )

    def _voice(self) -> Voice:
        chance, preset = self._rng.random(), self._preset
        if self._record is not None and chance < preset.cold_share:
            return Voice(recording=self._record(self._rng), is_cold=True)
        if self._known and chance < preset.cold_share + preset.cloned_share:
            return self._rng.choice(self._known)
        return Voice(self._rng.choice(self._named))

    def _way(self, voice: Voice) -> Way:
        if self._rng.random() >= self._preset.streaming_share:
            return Way.WHOLE
        is_upload = voice.recording is not None and self._rng.random() < UPLOAD_SHARE
        return Way.UPLOAD if is_upload else Way.STREAM


def _drawn(rng: Random, weights: Mapping[T, float]) -> T:
    (found,) = rng.choices(list(weights), list(weights.values()))
    return found
