"""Measured times of one replica, from a JSON file. Nothing here is guessed: what a file leaves out is an error."""

import datetime
from collections.abc import Sequence
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from serve_app.text.languages import CODES_PER_S

FRAME_S = 256 / 24_000  # of audio in one frame of the vocoder
FRAMES_PER_CODE = 1.0 / (CODES_PER_S * FRAME_S)

Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


STRICT = ConfigDict(extra="forbid", strict=True)


class Strict(BaseModel):
    """An unknown key is an error, and so is a number in quotes."""

    model_config = ConfigDict(**STRICT, frozen=True)


class Measured(Strict):
    """On what, with what, when and how the times were taken."""

    machine: str = Field(min_length=1)
    version: str = Field(min_length=1)
    date: datetime.date
    how: str = Field(min_length=1)  # the command


class DecodeStep(Strict):
    """Seconds of one decode step of `batch` sequences that have `cached` rows each in the cache, on average."""

    batch: Count
    seconds: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    cached: Annotated[int, Field(ge=0)] | None = None


class VocoderPass(Strict):
    """Seconds of one pass over `frames` frames in all, context included."""

    frames: Count
    seconds: Seconds


class Profile(Strict):
    """One replica. The limits at the end are those of `serve_app.engine.config` for a CPU."""

    name: str = Field(min_length=1)
    measured: Measured
    decode_steps: tuple[DecodeStep, ...] = Field(min_length=1)
    is_rounded_up: bool = False  # a step costs what the next larger batch of the table does, as with CUDA graphs
    prefill_pass_s: Seconds  # of one pass that reads prefixes
    prefill_row_s: Seconds  # and of each of their rows
    vocoder_s_per_audio_s: Seconds | None = None  # either this,
    vocoder_passes: tuple[VocoderPass, ...] = ()  # or a table
    request_s: Seconds  # HTTP, Ray and the preparation of the text, before the engine
    voice_s: Seconds  # encoding of a voice that the fleet has not met
    does_voice_stall: bool = True  # the engine's steps wait meanwhile
    load_s: Seconds  # from the start of a replica's process until it is ready
    slots: Count
    max_waiting: Count  # XTTS_MAX_WAITING
    max_slots_per_request: Count = 8
    first_audio_timeout_s: Annotated[float, Field(gt=0.0)] = 120.0
    codes_per_s: Annotated[float, Field(gt=0.0)] = CODES_PER_S
    slowdown: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 1.0  # of the engine's parts in a whole service
    max_prefill_rows: Count = 256
    max_render_frames: Count = 384
    max_window_frames: Annotated[int, Field(ge=64)] = 256
    max_window_batch: Count = 1

    @model_validator(mode="after")
    def _has_one_vocoder(self) -> Self:
        if (self.vocoder_s_per_audio_s is None) != bool(self.vocoder_passes):
            raise ValueError("give either vocoder_s_per_audio_s or vocoder_passes")
        if _repeats([each.frames for each in self.vocoder_passes]):
            raise ValueError("a number of frames stands twice in vocoder_passes")
        if self.max_window_frames > self.max_render_frames:
            raise ValueError("max_window_frames is above max_render_frames: no window would fit into a step")
        return self

    @model_validator(mode="after")
    def _has_a_full_table(self) -> Self:
        """Every batch at every cached length, once; and a row that covers all slots."""
        keys = [(each.batch, each.cached) for each in self.decode_steps]
        batches, lengths = {batch for batch, _ in keys}, {cached for _, cached in keys}
        if _repeats(keys):
            raise ValueError("a row of decode_steps stands twice")
        if len(keys) != len(batches) * len(lengths) or (None in lengths and len(lengths) > 1):
            raise ValueError("decode_steps must have every batch at every cached length, or no cached length at all")
        if max(batches) < self.slots:
            raise ValueError(f"decode_steps end at a batch of {max(batches)}, and there are {self.slots} slots")
        return self


def _repeats(values: Sequence[Any]) -> bool:
    return len(set(values)) < len(values)


class StepTimes:
    """A profile's tables, ready to be asked a million times. Between two rows they are straight, beyond the last too
    (passes alone: a batch never exceeds the slots).
    """

    def __init__(self, profile: Profile) -> None:
        self._lengths = sorted({each.cached or 0 for each in profile.decode_steps})
        self._by_length = [_by_batch(profile, length) for length in self._lengths]
        self._frame_s = (profile.vocoder_s_per_audio_s or 0.0) * FRAME_S * profile.slowdown
        passes = sorted(profile.vocoder_passes, key=lambda each: each.frames)
        self._pass_frames = [float(each.frames) for each in passes]
        self._pass_s = [each.seconds * profile.slowdown for each in passes]
        self._known_passes: dict[int, float] = {}
        self._prefill_pass_s = profile.prefill_pass_s * profile.slowdown
        self._prefill_row_s = profile.prefill_row_s * profile.slowdown

    def decode_s(self, batch: int, mean_cached: float) -> float:
        """One step of `batch` sequences, 1 … slots."""
        lengths, tables = self._lengths, self._by_length
        if len(lengths) == 1 or mean_cached <= lengths[0]:
            return tables[0][batch]
        for index in range(1, len(lengths)):
            if mean_cached <= lengths[index]:
                share = (mean_cached - lengths[index - 1]) / (lengths[index] - lengths[index - 1])
                return tables[index - 1][batch] * (1.0 - share) + tables[index][batch] * share
        return tables[-1][batch]

    def prefill_s(self, num_rows: int) -> float:
        """One pass over the rows of all newcomers."""
        return self._prefill_pass_s + self._prefill_row_s * num_rows

    def vocoder_s(self, num_frames: int) -> float:
        """One pass over so many frames."""
        if not self._pass_s:
            return self._frame_s * num_frames
        if num_frames not in self._known_passes:
            self._known_passes[num_frames] = self._interpolated(num_frames)
        return self._known_passes[num_frames]

    def _interpolated(self, num_frames: int) -> float:
        last = self._pass_frames[-1]
        if num_frames > last:
            return self._pass_s[-1] * num_frames / last
        return float(np.interp(num_frames, self._pass_frames, self._pass_s))


def _by_batch(profile: Profile, length: int) -> list[float]:
    """Seconds of a step by its batch, 0 … slots."""
    rows = sorted((each.batch, each.seconds) for each in profile.decode_steps if (each.cached or 0) == length)
    batches, seconds = [batch for batch, _ in rows], [each for _, each in rows]
    seconds = [each * profile.slowdown for each in seconds]
    if profile.is_rounded_up:
        return [0.0] + [seconds[int(np.searchsorted(batches, batch))] for batch in range(1, profile.slots + 1)]
    return [0.0] + [float(np.interp(batch, batches, seconds)) for batch in range(1, profile.slots + 1)]


def rtf_at(profile: Profile, batch: int, mean_cached: float = 256.0) -> float:
    """Seconds that a second of audio of each of `batch` running sentences takes: below 1 a stream keeps up. Prefixes of
    newcomers come on top.
    """
    times = StepTimes(profile)
    window = profile.max_window_frames * profile.max_window_batch
    render_s = batch * times.vocoder_s(window) / window / FRAME_S
    return times.decode_s(batch, mean_cached) * profile.codes_per_s + render_s


def audio_s_per_s(profile: Profile, mean_cached: float = 256.0) -> float:
    """Audio seconds a replica with full slots makes in a second, prefixes and requests' other costs left out: what it
    cannot exceed.
    """
    return profile.slots / rtf_at(profile, profile.slots, mean_cached)
