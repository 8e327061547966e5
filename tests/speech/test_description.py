"""What is said of a model that is not loaded is what its service says when it is."""

from pathlib import Path

import pytest

from serve_app.errors import CheckpointError, LicenceNotAccepted
from serve_app.model.synthetic import write_synthetic
from serve_app.settings import Settings
from serve_app.speech.description import describe
from serve_app.speech.service import SpeechService
from tests.engine.support import run


def _settings(model: str, directory: Path) -> Settings:
    return Settings(model=model, device="cpu", num_threads=1, max_slots=4, voice_dir=directory, model_cache=directory)


@pytest.mark.parametrize("model", ["mini", "synthetic:tiny", "a directory"])
def test_description_is_what_the_loaded_service_says(tmp_path: Path, model: str) -> None:
    if model == "a directory":
        model = str(tmp_path / "tuned")
        write_synthetic(Path(model), "synthetic:tiny")
    settings = _settings(model, tmp_path)
    service = SpeechService.load(settings, print)
    try:
        assert describe(settings) == run(service.status())
    finally:
        service.close()


def test_memory_of_a_model_is_measured_with_its_slots_full(tmp_path: Path) -> None:
    sizes = []
    for num_slots in (1, 16):
        settings = _settings("synthetic:tiny", tmp_path).model_copy(update={"max_slots": num_slots})
        service = SpeechService.load(settings, print)
        service.close()
        sizes.append(service.num_bytes)
        assert service.num_bytes >= service.engine.num_untouched_bytes > 0
    assert sizes[1] > sizes[0]


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        describe(_settings(str(tmp_path), tmp_path))
    with pytest.raises(LicenceNotAccepted):
        describe(_settings("xtts_v2", tmp_path))
