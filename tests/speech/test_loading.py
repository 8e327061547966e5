import asyncio
import logging
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
import torch
from prometheus_client import CollectorRegistry

from serve_app.errors import CheckpointError, SettingsError
from serve_app.metrics import Metrics, PrometheusExporter
from serve_app.model.device import Compute
from serve_app.model.synthetic import write_synthetic
from serve_app.settings import Settings
from serve_app.speech.engine_setup import engine_config
from serve_app.speech.request import one_turn
from serve_app.speech.service import SpeechService
from tests.engine.support import CPU, largest_difference, run
from tests.speech.support import SENTENCES, hear
from tests.voices.object_server import ObjectServer
from tests.voices.recordings import CLONE_TEST, recording


def _settings(directory: Path, **changes: object) -> Settings:
    options = {"model": "synthetic:tiny", "device": "cpu", "dtype": "float32", "num_threads": 1}
    return Settings(voice_dir=directory / "voices", model_cache=directory / "models", **(options | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> Generator[SpeechService]:
    service = SpeechService.load(_settings(tmp_path_factory.mktemp("loading")), lines.append)
    yield service
    service.close()


def test_service_is_warm_and_tells_how_it_came_to_be(service: SpeechService, lines: list[str]) -> None:
    status = run(service.status())
    assert status.is_ready
    assert (status.model, status.device, status.voice_names) == ("synthetic:tiny", "cpu", ("default",))
    assert service.engine.stats.num_codes > 100
    assert service.engine.num_alive == 0
    assert len(lines) >= 3
    assert "ready" in lines[-1]


def test_made_up_voice_and_noise_are_owned_up_to(service: SpeechService) -> None:
    heard = run(hear(service, one_turn(SENTENCES[0], "en", seed=1)))
    assert heard.samples.std() > 0.02
    warnings = " ".join(heard.summary.warnings)
    assert "made-up" in warnings
    assert "noise" in warnings


def test_reference_is_heard_and_advised_on(service: SpeechService) -> None:
    request = one_turn(SENTENCES[0], "en", seed=1)
    cloning = one_turn(SENTENCES[0], "en", seed=1, reference=recording(CLONE_TEST))
    plain, cloned, again = (run(hear(service, one)) for one in (request, cloning, cloning))
    assert largest_difference(plain.samples, cloned.samples) > 0.01
    assert cloned.samples.tobytes() == again.samples.tobytes()
    assert any("s of speech" in warning for warning in cloned.summary.warnings)
    assert again.summary.timings_s["voice"] < cloned.summary.timings_s["voice"]


def test_loading_works_where_a_loop_runs_already(tmp_path: Path) -> None:
    """As in a Ray replica's constructor."""

    async def load() -> None:
        service = SpeechService.load(_settings(tmp_path), lambda line: None)
        service.close()

    asyncio.run(load())


@pytest.mark.parametrize("quantization", [pytest.param("none", marks=pytest.mark.slow), "int8"])
def test_other_numbers_speak_as_long(tmp_path: Path, service: SpeechService, quantization: str) -> None:
    request = one_turn(SENTENCES[0], "en", seed=1)
    expected = run(hear(service, request)).summary
    dtype = "bfloat16" if quantization == "none" else "float32"
    other = SpeechService.load(_settings(tmp_path, dtype=dtype, quantization=quantization), lambda line: None)
    try:
        heard = run(hear(other, request))
    finally:
        other.close()
    assert np.isfinite(heard.samples).all()
    assert heard.summary.num_codes == expected.num_codes
    assert heard.samples.std() > 0.02


def test_directory_speaks_as_the_model_it_was_written_from(tmp_path: Path, service: SpeechService) -> None:
    write_synthetic(tmp_path / "model", "synthetic:tiny")
    loaded = SpeechService.load(_settings(tmp_path, model=str(tmp_path / "model")), lambda line: None)
    request = one_turn(SENTENCES[0], "en", seed=1)
    try:
        heard = run(hear(loaded, request))
    finally:
        loaded.close()
    assert largest_difference(heard.samples, run(hear(service, request)).samples) < 1e-4


@pytest.mark.parametrize("weights_file", ["model.pth", "model.safetensors"])
@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_running_service_holds_no_weights_file(tmp_path: Path, weights_file: str, dtype: str) -> None:
    """Someone who replaces the file must neither change a running model nor end it with a bus error."""
    write_synthetic(tmp_path / "model", "synthetic:tiny:1", weights_file)
    service = SpeechService.load(_settings(tmp_path, model=str(tmp_path / "model"), dtype=dtype), lambda line: None)
    try:
        mapped = [line.split()[-1] for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()]
        assert str(tmp_path / "model" / weights_file) not in mapped  # other tests may hold theirs
        assert len(run(hear(service, one_turn("Hello there.", "en", seed=1))).samples) > 0
    finally:
        service.close()


def test_start_tells_where_voices_are_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        SpeechService.load(_settings(tmp_path), lambda line: None).close()
    assert f"voices are kept in the directory {tmp_path / 'voices'}" in caplog.messages


def test_services_share_a_voice_through_a_bucket(
    tmp_path: Path, object_server: ObjectServer, caplog: pytest.LogCaptureFixture
) -> None:
    request = one_turn(SENTENCES[0], "en", seed=1, reference=recording(CLONE_TEST))
    heard = []
    for name in ("one", "other"):
        registry = CollectorRegistry()
        with caplog.at_level(logging.INFO):
            settings = _settings(tmp_path / name, voice_url="s3://bucket/voices")
            service = SpeechService.load(settings, lambda line: None, Metrics(PrometheusExporter(registry)))
        heard.append(run(hear(service, request)).samples)
        service.close()
    assert caplog.messages.count("voices are kept in the object store s3://bucket/voices") == 2
    assert registry.get_sample_value("xtts_voices_total", {"found": "disk"}) == 1.0
    assert heard[0].tobytes() == heard[1].tobytes()
    assert len(object_server.objects) == 1
    assert not (tmp_path / "one" / "voices").exists()


def test_unknown_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        SpeechService.load(_settings(tmp_path, model="synthetic:huge"), lambda line: None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_missing_gpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        SpeechService.load(_settings(tmp_path, device="cuda"), lambda line: None)


def test_slots_follow_the_device_and_the_settings(tmp_path: Path) -> None:
    cpu, gpu = Compute(CPU, torch.float32), Compute(torch.device("cuda"), torch.bfloat16)
    assert engine_config(_settings(tmp_path), cpu).max_slots == 16
    assert engine_config(_settings(tmp_path), gpu).max_slots == 64
    config = engine_config(_settings(tmp_path, max_slots=3, max_waiting=5, deterministic=True), gpu)
    assert (config.max_slots, config.max_waiting, config.is_deterministic) == (3, 5, True)
