"""Text in, ordered audio out: the service behind the seam. Knows text, voices and the engine; no HTTP, no Ray."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

import numpy as np

from serve_app.audio.pcm import Recording, Samples
from serve_app.engine.engine import Engine
from serve_app.engine.gpu_reporter import GpuReporter
from serve_app.errors import ServiceError
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.model.config import SAMPLE_RATE_HZ, ModelConfig
from serve_app.model.tokenizer import Tokenizer
from serve_app.settings import Settings
from serve_app.speech.request import (
    AudioChunk,
    SentenceTiming,
    ServiceLoad,
    ServiceStatus,
    SpeechRequest,
    SpeechSummary,
)
from serve_app.speech.script import Script
from serve_app.speech.speaking import Plan, SentenceSpeaker
from serve_app.speech.voice_room import SpokenVoice, VoiceRoom
from serve_app.text.dictionary import Dictionary
from serve_app.voices.info import PreparedVoice


class SpeechService:
    """The seam's real side (see `SpeechBackend`), in one process."""

    def __init__(
        self,
        settings: Settings,
        config: ModelConfig,
        tokenizer: Tokenizer,
        engine: Engine,
        voices: VoiceRoom,
        *,
        device: str,
        notices: tuple[str, ...] = (),
        recorder: Metrics = NOT_RECORDED,
        num_bytes: int = 0,
        gpu_reporter: GpuReporter | None = None,
        dictionary: Dictionary | None = None,
    ) -> None:
        self._config, self._tokenizer, self._dictionary = config, tokenizer, dictionary or Dictionary()
        self._speaker = SentenceSpeaker(config, tokenizer, engine, settings, recorder)
        self._engine, self._voices = engine, voices
        self._device, self._notices = device, notices
        self._num_bytes, self._gpu_reporter = num_bytes, gpu_reporter

    @staticmethod
    def load(settings: Settings, progress: Callable[[str], None], recorder: Metrics = NOT_RECORDED) -> "SpeechService":
        """Loads the model and warms it up; blocks. Raises a `StartupError` that says what is wrong."""
        from serve_app.speech.loading import load_service

        return load_service(settings, progress, recorder)

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def num_bytes(self) -> int:
        """Memory that the model took when it was loaded, with its slots at their fullest."""
        return self._num_bytes

    async def status(self, model: str | None = None) -> ServiceStatus:
        """Of the one model there is; `model` is for those who have several."""
        return ServiceStatus(
            is_ready=self._is_healthy(),
            model=self._config.name,
            device=self._device,
            languages=self._config.languages,
            voices=self._voices.infos,
            sample_rate_hz=SAMPLE_RATE_HZ,
            notices=self._notices,
        )

    def load_now(self) -> ServiceLoad:
        load = self._engine.load
        return ServiceLoad(load.num_slots, load.num_wanted_slots, load.oldest_wait_s)

    def check_health(self) -> None:
        """Raises a `ServiceError` when the engine cannot go on."""
        self._engine.check_health()

    async def drain(self) -> None:
        """Takes no new sentence and waits for those that run."""
        await self._engine.drain()

    def close(self) -> None:
        if self._gpu_reporter is not None:
            self._gpu_reporter.stop()
        self._engine.close()
        self._voices.close()

    async def prepare_voice(self, recordings: Sequence[Recording], *, is_style: bool) -> PreparedVoice:
        """See `SpeechBackend`."""
        return await self._voices.prepare(recordings, is_style=is_style)

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        """See `SpeechBackend`. The last chunk holds the summary, and no samples but of a pause at the text's end."""
        clock = Clock()
        script = Script(request, self._config, self._tokenizer, self._dictionary)
        await asyncio.to_thread(script.extend, 1)
        clock.mark("text")
        voices = await self._voices.voices_of(request)
        clock.mark("voice")
        seed = secrets.randbits(31) if request.seed is None else request.seed
        plan = Plan(script, voices, request, seed)
        num_samples = num_codes = 0
        timings: list[SentenceTiming] = []
        async with aclosing(self._speaker.speak(plan)) as outputs:
            async for index, output in outputs:
                sentence = script.sentences[index]
                if num_samples == 0:
                    clock.timings_s |= {"queue": output.queue_s, "first_audio": clock.elapsed_s}
                if len(timings) == index:
                    if len(silence := _silence(sentence.pause_s)):
                        yield AudioChunk(silence, num_samples, index, turn_index=sentence.turn_index)
                        num_samples += len(silence)
                    start_s = num_samples / SAMPLE_RATE_HZ
                    timings.append(SentenceTiming(sentence.text, start_s, start_s, sentence.turn_index))
                yield AudioChunk(output.samples, num_samples, index, turn_index=sentence.turn_index)
                num_samples += len(output.samples)
                timings[index] = replace(timings[index], end_s=num_samples / SAMPLE_RATE_HZ)
                num_codes += output.num_codes if output.finish_reason is not None else 0
        clock.mark("synthesis")
        last_silence = _silence(script.last_pause_s)
        summary = SpeechSummary(
            duration_s=(num_samples + len(last_silence)) / SAMPLE_RATE_HZ,
            num_text_tokens=script.num_tokens,
            num_codes=num_codes,
            sentences=tuple(timings),
            seed=seed,
            timings_s=clock.timings_s,
            warnings=(*script.warnings, *_warnings(voices), *plan.warnings, *self._notices),
        )
        last = script.sentences[-1]
        yield AudioChunk(last_silence, num_samples, len(script.sentences) - 1, summary, last.turn_index)

    def _is_healthy(self) -> bool:
        try:
            self._engine.check_health()
        except ServiceError:
            return False
        return True


class Clock:
    """Seconds since the request came, and of each stage."""

    def __init__(self) -> None:
        self._start_s = self._last_s = time.perf_counter()
        self.timings_s: dict[str, float] = {}

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._start_s

    def mark(self, stage: str) -> None:
        """The time since the last mark belongs to `stage`."""
        now_s = time.perf_counter()
        self.timings_s[stage] = now_s - self._last_s
        self._last_s = now_s


def _warnings(voices: Sequence[SpokenVoice]) -> list[str]:
    return list(dict.fromkeys(warning for voice in voices for warning in voice.warnings))


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), dtype=np.float32)
