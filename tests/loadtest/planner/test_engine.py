"""The engine's model against closed forms of queueing theory, and against the real engine's own parts."""

from math import factorial

import numpy as np
import pytest
import torch

from loadtest.planner.engine import EngineModel
from loadtest.planner.events import Events, without_garbage_collection
from loadtest.planner.profile import FRAME_S, StepTimes
from loadtest.planner.request import CONTEXT_FRAMES, Request, Sentence
from serve_app.engine.audio_stream import AudioStream
from serve_app.engine.config import EngineConfig
from serve_app.engine.sequence import STREAMING_CHUNKS, Prompt, SamplingParams
from serve_app.model.config import VocoderConfig
from serve_app.model.frames import FrameGrid
from tests.loadtest.planner.examples import GPU, example, plain

STEP_S = 0.001


class Bench:
    """An engine alone, fed with sentences of one size each, and how long each waited for its slot and in all."""

    def __init__(self, slots: int, codes: np.ndarray, gaps_s: np.ndarray) -> None:
        self.events = Events()
        profile = plain(slots, STEP_S, max_render_frames=10**6, max_window_frames=10**6)
        self.engine = EngineModel(profile, StepTimes(profile), self.events, self._on_audio)
        self.sojourns_s: list[float] = []
        for sent_s, num_codes in zip(np.cumsum(gaps_s), codes, strict=True):
            request = Request(float(sent_s), (1, int(num_codes), 40), is_cold=False, is_streamed=False)
            self.events.at(float(sent_s), self._send, request)
        with without_garbage_collection():
            self.events.run(float("inf"))
        # reading a prefix gives the first code, and takes no time here
        self.wait_s = float(np.mean(self.sojourns_s)) - float(codes.mean() - 1) * STEP_S

    def _send(self, request: Request) -> None:
        self.engine.submit(Sentence(request, 0, self.events.now_s))

    def _on_audio(self, sentence: Sentence, audio_s: float, is_last: bool) -> None:
        if is_last:
            self.sojourns_s.append(self.events.now_s - sentence.request.sent_s)


def erlang_c(servers: int, load: float) -> float:
    """Probability that a customer of M/M/c waits; `load` is arrivals by services, in servers."""
    top = load**servers / factorial(servers) * servers / (servers - load)
    return top / (sum(load**k / factorial(k) for k in range(servers)) + top)


@pytest.mark.parametrize("use", [0.5, 0.8])
def test_one_slot_of_fixed_service_is_m_d_1(use: float) -> None:
    """Pollaczek and Khinchine: the mean wait is ρ s / 2 (1 − ρ)."""
    rng, number = np.random.default_rng(1), 40_000
    service_s = 0.2
    bench = Bench(1, np.full(number, 201), rng.exponential(service_s / use, number))
    expected_s = use * service_s / (2.0 * (1.0 - use))
    assert bench.wait_s == pytest.approx(expected_s, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("slots", "use"), [(4, 0.7), (8, 0.7)])
def test_slots_with_exponential_lengths_are_m_m_c(slots: int, use: float) -> None:
    """Steps are short beside the wait: that a newcomer joins at the end of one is not seen."""
    rng, number = np.random.default_rng(2), 100_000
    codes = np.maximum(1, np.ceil(rng.exponential(3_000.0, number)))
    service_s = float(codes.mean()) * STEP_S
    bench = Bench(slots, codes, rng.exponential(service_s / (slots * use), number))
    expected_s = erlang_c(slots, slots * use) * service_s / (slots * (1.0 - use))
    assert bench.wait_s == pytest.approx(expected_s, rel=0.05)


def test_leaps_change_no_time() -> None:
    """Two sentences, the second in the middle of the first: it joins at the end of the step under way."""
    events, ends = Events(), []
    profile = plain(2, 0.1)
    engine = EngineModel(profile, StepTimes(profile), events, lambda s, _, last: last and ends.append(events.now_s))
    for sent_s, codes in ((0.0, 10), (0.25, 3)):
        request = Request(sent_s, (1, codes, 40), is_cold=False, is_streamed=False)
        events.at(sent_s, lambda each: engine.submit(Sentence(each, 0, events.now_s)), request)
    events.run(float("inf"))
    assert ends == pytest.approx([0.6, 0.9])
    assert events.num_done < 12


def test_a_stream_is_heard_in_the_engine_s_own_chunks() -> None:
    """Frames that leave after each chunk are those that the real stream lets go."""
    prompt = Prompt((1,), voice=_NoVoice(), sampling=SamplingParams(), chunk_codes=STREAMING_CHUNKS)  # type: ignore[arg-type]
    real = AudioStream(_NoVocoder(), prompt, EngineConfig(), due_s=0.0)  # type: ignore[arg-type]
    request = Request(0.0, (1, 200, 40), is_cold=False, is_streamed=True)
    mine = Sentence(request, 0, 0.0)
    windows = 0
    for num_codes in range(1, 201):
        latents = torch.zeros(num_codes, 8)
        if num_codes == 200:
            real.complete(latents)
            mine.complete()
        elif num_codes == mine.next_codes:
            assert real.is_chunk_due(num_codes)
            real.grow(latents)
            mine.grow(num_codes)
        else:
            assert not real.is_chunk_due(num_codes)
        while real.is_due:
            window = real.next_window(256)
            width, last = mine.next_window(256)
            assert (width, last) == pytest.approx((window.num_frames, window.last), abs=1)
            real.hand_over(window)
            mine.hand_over(last)
            mine.num_out = real.num_out
            windows += 1
    assert windows > 6
    assert FrameGrid(VocoderConfig(), 1.0).num_frames(200) == pytest.approx(mine.num_out, abs=1)


class _NoVoice:
    speaker_embedding = torch.zeros(4)


class _NoVocoder:
    config = VocoderConfig()
    context_frames = CONTEXT_FRAMES


def test_frames_are_the_vocoder_s() -> None:
    config = VocoderConfig()
    assert config.hop_length / config.output_sample_rate_hz == FRAME_S


def test_a_step_costs_what_the_table_says() -> None:
    times = StepTimes(example())
    assert times.decode_s(4, 300.0) == pytest.approx(0.012)
    assert times.decode_s(10, 300.0) == pytest.approx((0.012 + 0.030) / 2)
    rounded = StepTimes(example(GPU))
    assert rounded.decode_s(17, 128.0) == pytest.approx(0.003)
    assert rounded.decode_s(64, 320.0) == pytest.approx(0.0035)
    assert rounded.vocoder_s(16_384) == pytest.approx(0.080)
