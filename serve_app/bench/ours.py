"""Our engine under the bench's load: all requests at once."""

import asyncio
import time

from serve_app.bench.measure import Measurement, peak_memory_bytes, reset_peak_memory
from serve_app.bench.workload import Utterance
from serve_app.engine.config import EngineConfig
from serve_app.engine.sequence import STREAMING_CHUNKS, WHOLE, Prompt, SamplingParams
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.config import SAMPLE_RATE_HZ, SamplingDefaults
from serve_app.model.device import Compute
from serve_app.model.tokenizer import Tokenizer
from serve_app.speech.engine_setup import build_engine
from serve_app.voices.voice import VoiceLatents


class OurSide:
    """An engine in one number format."""

    def __init__(self, checkpoint: Checkpoint, voice: VoiceLatents, compute: Compute, config: EngineConfig) -> None:
        self._voice, self._device = voice, compute.device
        self._sampling = checkpoint.config.sampling
        self._tokenizer = Tokenizer(
            checkpoint.tokenizer_file, checkpoint.config.languages, checkpoint.pronunciations_file
        )
        self._engine = build_engine(checkpoint, compute, config)

    def run(self, jobs: list[Utterance], num_sampled: int) -> Measurement:
        """Speaks all jobs twice: whole, for the throughput; and streamed, for the time to first audio."""
        reset_peak_memory(self._device)
        before = self._engine.stats
        start_s = time.perf_counter()
        whole = asyncio.run(self._speak_all(jobs, WHOLE))
        wall_s = time.perf_counter() - start_s
        after = self._engine.stats
        streamed = asyncio.run(self._speak_all(jobs, STREAMING_CHUNKS))
        return Measurement(
            wall_s=wall_s,
            audio_s=sum(num_samples for _, num_samples in whole) / SAMPLE_RATE_HZ,
            num_codes=after.num_codes - before.num_codes,
            ttfa_s=[first_s for first_s, _ in streamed],
            peak_memory_bytes=peak_memory_bytes(self._device),
            gpt_s=after.prefill_s + after.decode_s - before.prefill_s - before.decode_s,
            vocoder_s=after.render_s - before.render_s,
        )

    async def _speak_all(self, jobs: list[Utterance], chunk_codes: tuple[int, ...]) -> list[tuple[float, int]]:
        """Of each job: seconds until its first audio, and samples in all."""
        return list(await asyncio.gather(*(self._speak(job, seed, chunk_codes) for seed, job in enumerate(jobs))))

    async def _speak(self, job: Utterance, seed: int, chunk_codes: tuple[int, ...]) -> tuple[float, int]:
        start_s = time.perf_counter()
        tokens = tuple(self._tokenizer.encode(job.text, job.language))
        sampling = _sampling(self._sampling, seed, job.num_codes)
        first_s, num_samples = 0.0, 0
        async for output in self._engine.generate(Prompt(tokens, self._voice, sampling, chunk_codes=chunk_codes)):
            first_s = first_s or time.perf_counter() - start_s
            num_samples += len(output.samples)
        return first_s, num_samples


def _sampling(defaults: SamplingDefaults, seed: int, num_codes: int) -> SamplingParams:
    return SamplingParams(
        temperature=defaults.temperature,
        top_k=defaults.top_k,
        top_p=defaults.top_p,
        repetition_penalty=defaults.repetition_penalty,
        seed=seed,
        num_forced_codes=num_codes,
    )
