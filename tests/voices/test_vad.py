import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soxr
import torch

from serve_app.audio.pcm import Recording
from serve_app.voices.vad import FRAME_S, FRAME_SAMPLES, SpeechDetector, SpeechSpan, spans_of
from tests.voices.recordings import BECKETT, CHIME, TWO_CITIES, excerpt, recording

PACKAGE_NAMES = {
    "stft_conv.weight": "stft.forward_basis_buffer",
    "final_conv.weight": "decoder.decoder.2.weight",
    "final_conv.bias": "decoder.decoder.2.bias",
    **{f"conv{n + 1}.{kind}": f"encoder.{n}.reparam_conv.{kind}" for n in range(4) for kind in ("weight", "bias")},
    **{f"lstm_cell.{n}": f"decoder.rnn.{n}" for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")},
}


@pytest.fixture(scope="module")
def detector() -> SpeechDetector:
    return SpeechDetector.load()


def spoken_s(spans: list[SpeechSpan]) -> float:
    return sum(span.duration_s for span in spans)


@pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated")
def test_network_with_the_packages_weights_equals_the_package() -> None:
    spec = find_spec("silero_vad")
    assert spec is not None
    assert spec.origin is not None
    package = torch.jit.load(Path(spec.origin).parent / "data" / "silero_vad.jit")
    weights = package.state_dict()
    ours = SpeechDetector({name: weights[f"_model.{theirs}"] for name, theirs in PACKAGE_NAMES.items()})
    whole = recording(BECKETT)
    samples = torch.from_numpy(whole.samples[: 200 * FRAME_SAMPLES + 100].copy())
    frames = torch.nn.functional.pad(samples, (0, FRAME_SAMPLES - 100)).split(FRAME_SAMPLES)
    with torch.no_grad():
        expected = [package(frame, whole.sample_rate_hz).item() for frame in frames]
    assert max(expected) > 0.9 > 0.1 > min(expected)
    np.testing.assert_allclose(ours.probabilities(samples), expected, atol=1e-4)


def test_spans_of_reading_with_pauses_lie_where_the_sound_is(detector: SpeechDetector) -> None:
    whole = recording(BECKETT)
    spans = detector.spans(whole)
    assert len(spans) == 6
    level = np.sqrt(np.mean(whole.samples**2))
    for before, after in pairwise(spans):
        pause = whole.samples[round((before.end_s + 0.1) * 16_000) : round((after.start_s - 0.1) * 16_000)]
        assert np.sqrt(np.mean(pause**2)) < 0.3 * level


def test_spans_at_other_rates_agree(detector: SpeechDetector) -> None:
    original = excerpt(TWO_CITIES, 0, 12)
    expected = spoken_s(detector.spans(original))
    for rate_hz in (8_000, 16_000, 22_050, 44_101):
        resampled = Recording(soxr.resample(original.samples, original.sample_rate_hz, rate_hz), rate_hz)
        assert spoken_s(detector.spans(resampled)) == pytest.approx(expected, abs=0.8)


def test_spans_of_quiet_speech_are_found(detector: SpeechDetector) -> None:
    original = excerpt(TWO_CITIES, 0, 12)
    quiet = Recording(original.samples * np.float32(0.002), original.sample_rate_hz)
    assert spoken_s(detector.spans(quiet)) == pytest.approx(spoken_s(detector.spans(original)), abs=0.5)


def test_spans_of_what_is_not_speech_are_none(detector: SpeechDetector) -> None:
    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal(5 * 16_000)).astype(np.float32)
    tone = (0.3 * np.sin(np.arange(5 * 16_000) * 2 * np.pi * 220 / 16_000)).astype(np.float32)
    for samples in (noise, tone, np.zeros(16_000, np.float32), np.zeros(0, np.float32), tone[:1]):
        assert detector.spans(Recording(samples, 16_000)) == []
    assert detector.spans(recording(CHIME)) == []


def test_spans_does_not_change_the_recording(detector: SpeechDetector) -> None:
    quiet = Recording(recording(BECKETT).samples * np.float32(0.01), 16_000)
    before = quiet.samples.copy()
    detector.spans(quiet)
    np.testing.assert_array_equal(quiet.samples, before)


def probabilities(*runs: tuple[float, int]) -> np.ndarray:
    return np.concatenate([np.full(num_frames, value, np.float32) for value, num_frames in runs])


def test_spans_of_bridges_short_pauses_and_drops_short_noises() -> None:
    curve = probabilities((0.0, 10), (0.9, 20), (0.2, 3), (0.9, 20), (0.0, 20), (0.9, 5), (0.0, 20))
    assert spans_of(curve, len(curve) * FRAME_S) == [SpeechSpan(10 * FRAME_S, 53 * FRAME_S)]


def test_spans_of_speech_up_to_the_end_is_closed_there() -> None:
    curve = probabilities((0.0, 4), (0.9, 20))
    assert spans_of(curve, 24 * FRAME_S - 0.01) == [SpeechSpan(4 * FRAME_S, 24 * FRAME_S - 0.01)]


def test_spans_of_undecided_frames_continue_what_was() -> None:
    assert spans_of(probabilities((0.45, 50)), 50 * FRAME_S) == []
    curve = probabilities((0.6, 1), (0.45, 49), (0.0, 10))
    assert spans_of(curve, len(curve) * FRAME_S) == [SpeechSpan(0.0, 50 * FRAME_S)]


def test_detector_leaves_torchs_threads_and_generator_alone() -> None:
    code = (
        "import sys, torch; torch.set_num_threads(3); state = torch.random.get_rng_state()\n"
        "from serve_app.voices.vad import SpeechDetector\n"
        "SpeechDetector.load().probabilities(torch.zeros(16000))\n"
        "assert torch.get_num_threads() == 3 and 'silero_vad' not in sys.modules\n"
        "assert torch.equal(state, torch.random.get_rng_state())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
