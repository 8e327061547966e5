"""What the setting `model` names: the model that ships with the program, a synthetic one, the published one, or a
directory. Reads no weights, and loads no torch: what is plainly wrong is said before anything is started.
"""

from pathlib import Path

from serve_app.errors import CheckpointError, LicenceNotAccepted

MINI = "mini"
MINI_DIR = Path(__file__).parent / "data" / "mini"
PUBLISHED = "xtts_v2"
SYNTHETIC_PREFIX = "synthetic:"
WEIGHTS_FILES = ("model.safetensors", "model.pth")  # the first that is there
LICENCE_URL = "https://tts-hub.github.io/cpml"


def check_source(model: str, *, accept_cpml: bool) -> None:
    """Raises LicenceNotAccepted for the published checkpoint without consent, CheckpointError where nothing is."""
    if model == PUBLISHED:
        check_licence(accept_cpml)
    elif not model.startswith(SYNTHETIC_PREFIX):
        find_weights(directory_of(model))


def check_licence(accept_cpml: bool) -> None:
    """Raises LicenceNotAccepted with what to set."""
    if not accept_cpml:
        raise LicenceNotAccepted(
            "xtts_v2 is published under the Coqui Public Model License (CPML), which allows non-commercial use only: "
            f"read {LICENCE_URL}, and if you agree, set XTTS_ACCEPT_CPML=1. "
            "Without it, use XTTS_MODEL=mini, or a checkpoint directory of your own."
        )


def directory_of(model: str) -> Path:
    """The directory that `model` names. Raises CheckpointError."""
    directory = MINI_DIR if model == MINI else Path(model).expanduser()
    if not directory.is_dir():
        raise CheckpointError(
            f"there is no model {model!r}: it is no directory, nor one of {MINI}, {PUBLISHED}, synthetic:tiny, "
            "synthetic:full. Set XTTS_MODEL to one of these."
        )
    return directory


def find_weights(directory: Path) -> Path:
    """The weights file of a checkpoint directory. Raises CheckpointError that names every file that is missing."""
    weights_file = next((directory / name for name in WEIGHTS_FILES if (directory / name).is_file()), None)
    missing = [name for name in ("config.json", "vocab.json") if not (directory / name).is_file()]
    if weights_file is None or missing:
        missing += [] if weights_file else [" or ".join(WEIGHTS_FILES)]
        raise CheckpointError(
            f"{directory} is not a whole checkpoint: it lacks {', '.join(missing)}. "
            "Copy what is missing from where the model came."
        )
    return weights_file
