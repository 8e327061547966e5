import threading

import numpy as np
import pytest
import torch
import torchaudio

from serve_app.audio.pcm import Recording
from serve_app.errors import ReferenceTooShort
from serve_app.voices.entry import from_int16, to_int16
from serve_app.voices.reference import REFERENCE_RATE_HZ, PreparedReference, ReferenceTrimmer, resample_reference
from tests.voices.recordings import BECKETT, CHIME, CLONE_TEST, TWO_CITIES, excerpt, recording


@pytest.fixture(scope="module")
def trimmer() -> ReferenceTrimmer:
    return ReferenceTrimmer()


def prepare(trimmer: ReferenceTrimmer, of: Recording) -> PreparedReference:
    reference = trimmer.prepare(of, field="speaker_wav_b64")
    assert reference.samples.dtype == np.float32
    assert reference.samples.ndim == 1
    assert reference.sample_rate_hz == REFERENCE_RATE_HZ
    assert np.abs(reference.samples).max() <= 1.0
    return reference


def duration_s(reference: PreparedReference) -> float:
    return len(reference.samples) / reference.sample_rate_hz


def padded(inner: Recording, before_s: float, after_s: float) -> Recording:
    edges = [np.zeros(round(seconds * inner.sample_rate_hz), np.float32) for seconds in (before_s, after_s)]
    return Recording(np.concatenate([edges[0], inner.samples, edges[1]]), inner.sample_rate_hz)


def as_coqui(of: Recording) -> np.ndarray:
    """TTS.tts.models.xtts.load_audio after its torchaudio.load."""
    audio = torchaudio.functional.resample(torch.from_numpy(of.samples.copy())[None], of.sample_rate_hz, 22_050)
    samples: np.ndarray = audio.clip_(-1, 1)[0].numpy()
    return samples


def test_prepare_with_nothing_to_trim_equals_coquis_loading(trimmer: ReferenceTrimmer) -> None:
    speech = excerpt(TWO_CITIES, 1.3, 14.8)
    np.testing.assert_array_equal(prepare(trimmer, speech).samples, as_coqui(speech))


@pytest.mark.parametrize("seconds", [5.01, 5.27, 5.49])
def test_prepare_ends_at_a_full_half_second(trimmer: ReferenceTrimmer, seconds: float) -> None:
    speech = excerpt(TWO_CITIES, 1.5, 1.5 + seconds)
    reference = prepare(trimmer, speech)
    np.testing.assert_array_equal(reference.samples, as_coqui(excerpt(TWO_CITIES, 1.5, 6.5)))
    assert reference.speech_s <= 5.0


def test_prepare_trims_silence_to_a_short_edge(trimmer: ReferenceTrimmer) -> None:
    speech = excerpt(TWO_CITIES, 1.3, 15.0)
    alone, reference = prepare(trimmer, speech), prepare(trimmer, padded(speech, 4.0, 6.0))
    assert duration_s(alone) <= duration_s(reference) < duration_s(alone) + 0.7
    assert reference.speech_s == pytest.approx(alone.speech_s, abs=0.2)
    assert reference.warnings == ()


def test_prepare_shortens_long_pauses_and_joins_without_a_click(trimmer: ReferenceTrimmer) -> None:
    first, second = excerpt(TWO_CITIES, 1.3, 6.0), excerpt(TWO_CITIES, 20.0, 26.0)
    slope, level = np.linspace(0, 0.3, 2_400), np.full(120_000, 0.3)
    pause = np.concatenate([-slope, -level, level, slope[::-1]])  # without its two fades the joint is a step
    samples = np.concatenate([first.samples, pause.astype(np.float32), second.samples])
    reference = prepare(trimmer, Recording(samples, 48_000))
    assert duration_s(reference) == pytest.approx(4.7 + 6.0 + 0.6, abs=0.4)
    largest_step = np.abs(np.diff(prepare(trimmer, first).samples)).max()
    assert np.abs(np.diff(reference.samples)).max() < 1.5 * largest_step


def test_prepare_keeps_short_pauses(trimmer: ReferenceTrimmer) -> None:
    parts = [excerpt(TWO_CITIES, 1.3, 6.0), excerpt(TWO_CITIES, 20.0, 26.0)]
    samples = np.concatenate([parts[0].samples, np.zeros(round(0.4 * 48_000), np.float32), parts[1].samples])
    assert duration_s(prepare(trimmer, Recording(samples, 48_000))) == pytest.approx(11.1, abs=0.35)


@pytest.mark.parametrize("seconds", [1.0, 2.5])
def test_prepare_under_three_seconds_of_speech_is_refused(trimmer: ReferenceTrimmer, seconds: float) -> None:
    short = padded(excerpt(TWO_CITIES, 1.3, 1.3 + seconds), 5.0, 5.0)
    with pytest.raises(ReferenceTooShort, match=r"[012]\.\d s of speech .* 10 to 15 seconds") as caught:
        prepare(trimmer, short)
    assert caught.value.field == "speaker_wav_b64"


def test_prepare_without_speech_is_refused(trimmer: ReferenceTrimmer) -> None:
    with pytest.raises(ReferenceTooShort, match=r"0\.0 s of speech"):
        prepare(trimmer, recording(CHIME))


@pytest.mark.parametrize("name", [CLONE_TEST, BECKETT])
def test_prepare_under_six_seconds_of_speech_warns(trimmer: ReferenceTrimmer, name: str) -> None:
    reference = prepare(trimmer, recording(name))
    assert 3.0 <= reference.speech_s < 6.0
    assert f"{reference.speech_s:.1f} s of speech" in reference.warnings[0]


def test_prepare_longer_than_thirty_seconds_uses_thirty(trimmer: ReferenceTrimmer) -> None:
    reference = prepare(trimmer, recording(TWO_CITIES))
    assert duration_s(reference) == 30.0
    assert 20.0 < reference.speech_s <= 30.0
    assert "best 30 s" in reference.warnings[0]


def test_prepare_long_recording_takes_the_part_with_most_speech(trimmer: ReferenceTrimmer) -> None:
    with_pauses = np.tile(padded(excerpt(TWO_CITIES, 1.5, 2.2), 1.0, 1.0).samples, 40)
    dense = np.clip(excerpt(TWO_CITIES, 1.3, 34.0).samples * 10, -1, 1)  # clipped: cleanliness does not outweigh speech
    assert prepare(trimmer, Recording(with_pauses, 48_000)).speech_s < 18.0
    assert prepare(trimmer, Recording(np.concatenate([with_pauses, dense]), 48_000)).speech_s > 22.0


def test_prepare_long_recording_avoids_the_clipped_part(trimmer: ReferenceTrimmer) -> None:
    clean = excerpt(TWO_CITIES, 1.3, 31.8)
    clipped = Recording(np.clip(clean.samples * 40, -1, 1).astype(np.float32), 48_000)
    both = Recording(np.concatenate([clipped.samples, clean.samples]), 48_000)
    assert any("clipped" in warning for warning in prepare(trimmer, clipped).warnings)
    assert not any("clipped" in warning for warning in prepare(trimmer, both).warnings)


def test_prepare_from_many_threads_gives_the_same(trimmer: ReferenceTrimmer) -> None:
    fresh, results = ReferenceTrimmer(), []
    names = [CLONE_TEST, BECKETT] * 4
    threads = [
        threading.Thread(target=lambda name=name: results.append((name, prepare(fresh, recording(name)).samples)))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == len(names)
    for name, samples in results:
        np.testing.assert_array_equal(samples, prepare(trimmer, recording(name)).samples)


def test_prepare_does_not_change_the_recording(trimmer: ReferenceTrimmer) -> None:
    of = Recording(recording(BECKETT).samples.copy(), 16_000)
    prepare(trimmer, of)
    np.testing.assert_array_equal(of.samples, recording(BECKETT).samples)


def test_resample_at_a_rate_without_common_divisor_stays_small() -> None:
    tone = np.sin(np.arange(44_101) * 2 * np.pi * 440 / 44_101).astype(np.float32)
    resampled = resample_reference(Recording(tone, 44_101))
    expected = np.sin(np.arange(22_050) * 2 * np.pi * 440 / 22_050)
    assert len(resampled) == 22_050
    np.testing.assert_allclose(resampled[2_000:-2_000], expected[2_000:-2_000], atol=1e-3)


def test_resample_clips_at_full_scale_at_every_rate() -> None:
    for rate_hz in (22_050, 44_100, 44_101):
        samples = resample_reference(Recording(np.full(rate_hz, 1.5, np.float32), rate_hz))
        assert samples.max() == 1.0


def test_version_follows_what_changes_the_result() -> None:
    assert ReferenceTrimmer().version == ReferenceTrimmer(30.0).version != ReferenceTrimmer(20.0).version


# -- several recordings as one ---------------------------------------------------------------------------------------


def test_join_of_one_short_recording_is_what_is_prepared_of_it(trimmer: ReferenceTrimmer) -> None:
    of = recording(BECKETT)
    joined, alone = trimmer.join([of], is_style=False, field="audio"), trimmer.prepare(of, field="audio")
    assert len(joined.reference.samples) == len(alone.samples)
    np.testing.assert_allclose(joined.reference.samples[200:-200], alone.samples[200:-200], atol=1e-4)
    assert joined.speech_s == pytest.approx(alone.speech_s, abs=0.01)


def test_join_takes_a_share_of_each_and_gives_the_rest_to_the_longer(trimmer: ReferenceTrimmer) -> None:
    short = excerpt(TWO_CITIES, 1.3, 6.3)
    long = recording(TWO_CITIES)
    joined = trimmer.join([long, short, long], is_style=False, field="audio")
    assert joined.reference.duration_s == pytest.approx(30.0, abs=0.5)
    assert joined.reference.sample_rate_hz == REFERENCE_RATE_HZ
    assert joined.speech_s <= 30.0
    assert any("longer than needed" in warning for warning in joined.warnings)
    (first,) = trimmer.join([short], is_style=False, field="audio").reference.samples[None, 22_050:44_100]
    found = np.correlate(joined.reference.samples, first, "valid").max() / np.dot(first, first)
    assert found == pytest.approx(1.0, abs=0.02)


def test_join_adds_recordings_that_are_too_short_alone(trimmer: ReferenceTrimmer) -> None:
    parts = [excerpt(TWO_CITIES, start, start + 2.0) for start in (1.5, 8.0, 20.0)]
    joined = trimmer.join(parts, is_style=False, field="audio")
    assert 4.0 < joined.speech_s <= joined.reference.duration_s <= 6.0
    assert "unstable" in joined.warnings[0]
    with pytest.raises(ReferenceTooShort, match="3 s are needed") as caught:
        trimmer.join(parts[:1], is_style=False, field="audio")
    assert caught.value.field == "audio"


def test_join_needs_one_second_for_a_style(trimmer: ReferenceTrimmer) -> None:
    style = trimmer.join([excerpt(TWO_CITIES, 2.0, 3.4)], is_style=True, field="audio")
    assert 1.0 <= style.reference.duration_s <= 2.0
    for nothing in (recording(CHIME), Recording(np.zeros(48_000, np.float32), 16_000)):
        with pytest.raises(ReferenceTooShort, match="1 s are needed"):
            trimmer.join([nothing], is_style=True, field="audio")


def test_join_leaves_silent_recordings_out(trimmer: ReferenceTrimmer) -> None:
    silent = Recording(np.zeros(80_000, np.float32), 16_000)
    joined, alone = (
        trimmer.join(each, is_style=False, field="audio")
        for each in ([silent, recording(BECKETT)], [recording(BECKETT)])
    )
    np.testing.assert_array_equal(joined.reference.samples, alone.reference.samples)


def test_join_tells_of_noise_and_clipping(trimmer: ReferenceTrimmer) -> None:
    clean = recording(BECKETT)
    noise = np.random.default_rng(1).normal(0.0, 0.25 * clean.samples.std(), len(clean.samples)).astype(np.float32)
    noisy = Recording(clean.samples + noise, clean.sample_rate_hz)
    loud = Recording(np.clip(clean.samples * 12.0, -1.0, 1.0), clean.sample_rate_hz)
    assert not any("noise" in each for each in trimmer.join([clean], is_style=False, field="audio").warnings)
    assert any("noise" in each for each in trimmer.join([noisy], is_style=False, field="audio").warnings)
    assert any("clipped" in each for each in trimmer.join([loud], is_style=False, field="audio").warnings)


def test_join_gives_samples_that_survive_their_file(trimmer: ReferenceTrimmer) -> None:
    samples = trimmer.join([recording(CLONE_TEST)], is_style=False, field="audio").reference.samples
    np.testing.assert_array_equal(from_int16(to_int16(samples)).samples, samples)
