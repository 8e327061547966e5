"""Text in, ordered audio out: the service behind the seam. Knows text, voices and the engine; no HTTP, no Ray."""

import asyncio
import hashlib
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from serve_app.audio.pcm import Samples
from serve_app.engine.engine import Engine
from serve_app.engine.sequence import STREAMING_CHUNKS, WHOLE, Prompt, SamplingParams, SequenceOutput
from serve_app.errors import CeilingReached, RequestError, ServiceError, SynthesisFailed, VoiceNotFound
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
    VoiceChoice,
)
from serve_app.speech.script import ScriptWriter, Sentence
from serve_app.text.sentences import split_in_half
from serve_app.voices.info import VoiceInfo
from serve_app.voices.store import VoiceStore
from serve_app.voices.voice import VoiceLatents

logger = logging.getLogger(__name__)

MAX_SPLITS = 3  # times a sentence that reaches the model's end is halved before the request fails


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

    sentences: list[Sentence]
    voices: list[VoiceLatents]  # of each turn
    request: SpeechRequest
    seed: int


class SpeechService:
    """The seam's real side (see `SpeechBackend`), in one process."""

    def __init__(
        self,
        settings: Settings,
        config: ModelConfig,
        tokenizer: Tokenizer,
        engine: Engine,
        store: VoiceStore,
        voices: Mapping[str, VoiceLatents],
        *,
        device: str,
        voice_infos: Mapping[str, VoiceInfo] = MappingProxyType({}),
        notices: tuple[str, ...] = (),
    ) -> None:
        self._settings, self._config, self._tokenizer = settings, config, tokenizer
        self._writer = ScriptWriter(config, tokenizer)
        self._engine, self._store, self._voices = engine, store, voices
        self._voice_infos = tuple(voice_infos.get(name, VoiceInfo(name)) for name in voices)
        self._device, self._notices = device, notices

    @staticmethod
    def load(settings: Settings, progress: Callable[[str], None], recorder: Metrics = NOT_RECORDED) -> "SpeechService":
        """Loads the model and warms it up; blocks. Raises a `StartupError` that says what is wrong."""
        from serve_app.speech.loading import load_service

        return load_service(settings, progress, recorder)

    @property
    def engine(self) -> Engine:
        return self._engine

    async def status(self) -> ServiceStatus:
        return ServiceStatus(
            is_ready=self._is_healthy(),
            model=self._config.name,
            device=self._device,
            languages=self._config.languages,
            voices=self._voice_infos,
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
        self._engine.close()
        self._store.close()

    async def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
        """See `SpeechBackend`. The last chunk holds the summary, and no samples but of a pause at the text's end."""
        clock = Clock()
        script = await asyncio.to_thread(self._writer.write, request)
        clock.mark("text")
        voices, voice_warnings = await self._voices_of(request)
        clock.mark("voice")
        seed = secrets.randbits(31) if request.seed is None else request.seed
        plan = Plan(script.sentences, voices, request, seed)
        num_samples = num_codes = 0
        timings: list[SentenceTiming] = []
        async with aclosing(self._speak(plan)) as outputs:
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
            warnings=(*script.warnings, *voice_warnings, *self._notices),
        )
        last = script.sentences[-1]
        yield AudioChunk(last_silence, num_samples, len(script.sentences) - 1, summary, last.turn_index)

    # -- voices --------------------------------------------------------------------------------------------------------

    async def _voices_of(self, request: SpeechRequest) -> tuple[list[VoiceLatents], list[str]]:
        """The voice of each turn, and what should be known of their references."""
        voices, warnings = [], []
        for index, turn in enumerate(request.turns):
            try:
                latents, of_voice = await self._voice(turn.voice)
            except RequestError as error:
                if len(request.turns) == 1:
                    raise
                raise type(error)(error.message, field=f"turns.{index}.{error.field or 'voice'}") from None
            voices.append(latents)
            warnings += [warning for warning in of_voice if warning not in warnings]
        return voices, warnings

    async def _voice(self, choice: VoiceChoice) -> tuple[VoiceLatents, tuple[str, ...]]:
        if choice.reference is not None:
            stored = await self._store.get(choice.reference)
            return stored.latents, stored.warnings
        voice = self._voices.get(choice.name)
        if voice is None:
            known = ", ".join(self._voices)
            raise VoiceNotFound(f"there is no voice {choice.name!r}: choose one of {known}", field="voice")
        return voice, ()

    # -- sentences through the engine ----------------------------------------------------------------------------------

    async def _speak(self, plan: Plan) -> AsyncGenerator[tuple[int, SequenceOutput]]:
        """Outputs in the text's order. Sentences run side by side, a bounded number ahead of the one that is heard."""
        ahead: deque[SpokenSentence] = deque()
        tasks: list[asyncio.Task[None]] = []
        try:
            for index in range(len(plan.sentences)):
                while len(tasks) < min(index + self._settings.max_slots_per_request, len(plan.sentences)):
                    ahead.append(SpokenSentence())
                    heard_before = plan.sentences[index : len(tasks)]
                    wait_s = sum(each.expected_s for each in heard_before)
                    tasks.append(asyncio.create_task(self._speak_sentence(plan, len(tasks), wait_s, ahead[-1])))
                async for output in _outputs(ahead.popleft()):
                    yield index, output
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _speak_sentence(self, plan: Plan, index: int, delay_s: float, spoken: SpokenSentence) -> None:
        """Fills `spoken`. A failure is an item of its queue, so that it is met in the text's order."""
        try:
            await self._generate(plan, plan.sentences[index], (index,), delay_s, spoken)
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
            prompt = self._prompt(plan, sentence, path, delay_s)
            async with aclosing(self._engine.generate(prompt)) as outputs:
                async for output in outputs:
                    spoken.outputs.put_nowait(output)
        except CeilingReached:
            halves = split_in_half(sentence.text, sentence.language)
            if halves is None or len(path) > MAX_SPLITS or (is_first_try and spoken.is_heard):
                raise
            if is_first_try:
                spoken.take_back()  # later tries hand over nothing before they are whole
            for number, half in enumerate(halves):
                await self._generate(plan, replace(sentence, text=half), (*path, number), 0.0, spoken)

    def _prompt(self, plan: Plan, sentence: Sentence, path: tuple[int, ...], delay_s: float) -> Prompt:
        tokens = tuple(self._tokenizer.encode(sentence.text, sentence.language))
        defaults, asked = self._config.sampling, plan.request.sampling
        per_token = self._config.fixed_codes_per_token
        sampling = SamplingParams(
            temperature=defaults.temperature if asked.temperature is None else asked.temperature,
            top_k=defaults.top_k if asked.top_k is None else asked.top_k,
            top_p=defaults.top_p if asked.top_p is None else asked.top_p,
            repetition_penalty=(
                defaults.repetition_penalty if asked.repetition_penalty is None else asked.repetition_penalty
            ),
            seed=derive_seed(plan.seed, path),
            num_forced_codes=None if per_token is None else max(1, round(per_token * len(tokens))),
        )
        is_whole = len(path) > 1 or not plan.request.is_streaming
        chunk_codes = WHOLE if is_whole else STREAMING_CHUNKS
        is_continuation = path != (0,)  # a full queue refuses a request at its first sentence or not at all
        voice, speed = plan.voices[sentence.turn_index], plan.request.turns[sentence.turn_index].speed
        return Prompt(tokens, voice, sampling, speed, chunk_codes, delay_s, is_continuation)

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


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), dtype=np.float32)


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
