"""Loads a model, whatever its source, as one `Checkpoint`: configuration, tensors, vocabulary and voices.

What is incomplete, damaged, of another architecture or needs unsafe unpickling is refused with what to do about it.
"""

import hashlib
import json
import logging
import pickle
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from TTS.config.shared_configs import BaseDatasetConfig
from TTS.tts.configs.xtts_config import XttsArgs, XttsAudioConfig, XttsConfig

from serve_app.errors import CheckpointError
from serve_app.model import make_vocab
from serve_app.model.config import ModelConfig, TextFrontEnd, VocoderConfig
from serve_app.model.config_file import ConfigFile
from serve_app.model.download import Progress, fetch_checkpoint
from serve_app.model.pronunciation import PRONUNCIATIONS_FILE
from serve_app.model.source import PUBLISHED, SYNTHETIC_PREFIX, check_source, directory_of, find_weights
from serve_app.model.state_dict import canonical, check_tensors, infer_vocoder
from serve_app.model.synthetic import VERSION, synthetic_config, synthetic_tensors
from serve_app.model.tokenizer import START, STOP, read_vocabulary
from serve_app.voices.info import VoiceInfo
from serve_app.voices.voice import VoiceLatents

logger = logging.getLogger(__name__)

SPEAKERS_FILE, VOICES_FILE = "speakers_xtts.pth", "voices.json"
VOICE_ENCODER_VERSION = 1  # raise it with any change of the numbers that `conditioning` makes
NOISE_NOTICE = "random weights: this model speaks noise, at the true cost. Set XTTS_MODEL to a trained model."

# What the published model.pth holds beside tensors; the first two under the names of the modules they once were in.
SAFE_GLOBALS = [
    (XttsAudioConfig, "TTS.tts.models.xtts.XttsAudioConfig"),
    (XttsArgs, "TTS.tts.models.xtts.XttsArgs"),
    XttsConfig,
    BaseDatasetConfig,
]


@dataclass(frozen=True)
class Checkpoint:
    """A model as it was loaded. `tensors` may be memory-mapped; who has copied what it needs may clear the dict."""

    config: ModelConfig
    tensors: dict[str, torch.Tensor]  # names of coqui's Xtts.state_dict(), float32
    tokenizer_file: Path
    fingerprint: str  # of the weights and of all that shapes a voice: latents of another fingerprint do not fit
    speakers: dict[str, VoiceLatents] = field(default_factory=dict)
    voice_infos: dict[str, VoiceInfo] = field(default_factory=dict)
    pronunciations_file: Path | None = None  # of a model whose text tokens are phonemes
    notices: tuple[str, ...] = ()


def load_checkpoint(model: str, *, accept_cpml: bool, cache_dir: Path, progress: Progress) -> Checkpoint:
    """`model`: `synthetic:tiny`, `synthetic:full`, either with `:LAYERS`, `xtts_v2`, or a directory in coqui's layout.

    `cache_dir` keeps the downloaded checkpoint and the hashes of weights files; `progress` gets a line per long step.
    Raises CheckpointError, or LicenceNotAccepted for `xtts_v2` without `accept_cpml`.
    """
    check_source(model, accept_cpml=accept_cpml)
    if model.startswith(SYNTHETIC_PREFIX):
        config = synthetic_config(model)
        progress(f"drawing random weights for {model}")
        return _synthetic(model, config, synthetic_tensors(config))
    cache_dir = cache_dir.expanduser()
    return load_directory(_fetched(model, cache_dir, progress), cache_dir=cache_dir, progress=progress)


def read_without_weights(model: str, *, accept_cpml: bool, cache_dir: Path, progress: Progress) -> Checkpoint:
    """The same but for its tensors and fingerprint, which are empty; quick where nothing is to be downloaded."""
    check_source(model, accept_cpml=accept_cpml)
    if model.startswith(SYNTHETIC_PREFIX):
        return _synthetic(model, synthetic_config(model), {})
    directory = _fetched(model, cache_dir.expanduser(), progress)
    return _checkpoint(directory, _model_config(directory, {}), {}, "")


def _fetched(model: str, cache_dir: Path, progress: Progress) -> Path:
    return fetch_checkpoint(cache_dir / PUBLISHED, progress) if model == PUBLISHED else directory_of(model)


def _synthetic(model: str, config: ModelConfig, tensors: dict[str, torch.Tensor]) -> Checkpoint:
    return Checkpoint(
        config=config,
        tensors=tensors,
        tokenizer_file=make_vocab.VOCAB_FILE,
        fingerprint=_fingerprint(f"{model}:{VERSION}", config),
        notices=(NOISE_NOTICE,),
    )


def load_directory(directory: Path, *, cache_dir: Path, progress: Progress) -> Checkpoint:
    """A directory with config.json, vocab.json, and model.safetensors or model.pth. Raises CheckpointError."""
    weights_file = find_weights(directory)
    progress(f"reading {weights_file}")
    tensors = canonical(_read_weights(weights_file))
    config = _model_config(directory, tensors)
    progress(f"checking {len(tensors)} tensors")
    check_tensors(tensors, config, weights_file.name)
    return _checkpoint(directory, config, tensors, _fingerprint(file_sha256(weights_file, cache_dir), config))


def _checkpoint(directory: Path, config: ModelConfig, tensors: dict[str, torch.Tensor], fingerprint: str) -> Checkpoint:
    return Checkpoint(
        config=config,
        tensors=tensors,
        tokenizer_file=directory / "vocab.json",
        fingerprint=fingerprint,
        speakers=_read_speakers(directory / SPEAKERS_FILE, config),
        voice_infos=_read_voice_infos(directory / VOICES_FILE),
        pronunciations_file=_pronunciations_file(directory, config),
        notices=(NOISE_NOTICE,) if config.fixed_codes_per_token is not None else (),
    )


def _model_config(directory: Path, tensors: Mapping[str, torch.Tensor]) -> ModelConfig:
    """Without tensors, sizes that only they tell are coqui's own."""
    config_file = ConfigFile(_read_json(directory / "config.json"), "config.json")
    token_ids = read_vocabulary(directory / "vocab.json").get_vocab()
    num_ids = max(token_ids.values()) + 1
    embedding = tensors.get("gpt.text_embedding.weight")
    num_text_tokens = num_ids if embedding is None or embedding.dim() != 2 else embedding.shape[0]
    if num_text_tokens < num_ids:
        raise CheckpointError(
            f"vocab.json has ids up to {num_ids - 1}, the weights know {num_text_tokens}. "
            "Use the vocab.json that belongs to the checkpoint."
        )
    gpt = config_file.gpt(num_text_tokens, token_ids[START], token_ids[STOP])
    base = replace(VocoderConfig(), input_width=config_file.input_width, speaker_width=config_file.speaker_width)
    return ModelConfig(
        name=directory.name,
        gpt=gpt,
        vocoder=config_file.vocoder() or (infer_vocoder(tensors, base) if tensors else base),
        sampling=config_file.sampling(),
        conditioning=config_file.conditioning(),
        languages=config_file.languages(),
        text_front_end=config_file.text_front_end(),
        fixed_codes_per_token=config_file.fixed_codes_per_token(),
    )


def _pronunciations_file(directory: Path, config: ModelConfig) -> Path | None:
    if config.text_front_end is not TextFrontEnd.ENGLISH_PHONEMES:
        return None
    path = directory / PRONUNCIATIONS_FILE
    if not path.is_file():
        raise CheckpointError(
            f"{directory} lacks {PRONUNCIATIONS_FILE}, by which this model reads English. Copy it again."
        )
    return path


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}. Copy it again.") from error
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path} is not a JSON object. Use the config.json that belongs to the weights.")
    return raw


def _read_weights(path: Path) -> Mapping[str, torch.Tensor]:
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _unpickle(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or cut off: {error}. Copy it again.") from error
    if isinstance(state, Mapping) and isinstance(state.get("model"), Mapping):
        state = state["model"]
    if not isinstance(state, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise CheckpointError(f"{path} holds something else than a model's tensors. Use an XTTS v2 checkpoint.")
    return state


def _unpickle(path: Path) -> Any:
    """The content of a torch.save file, memory-mapped. Only tensors, plain containers and `SAFE_GLOBALS` pass."""
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} needs unsafe unpickling, which could run any program: {_first_line(error)}. "
            "Convert it to model.safetensors on a machine where you trust the file."
        ) from error
    except (RuntimeError, ValueError, EOFError, KeyError) as error:
        raise CheckpointError(
            f"{path} is damaged, cut off, or not a torch file: {_first_line(error)}. Copy it again."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _read_speakers(path: Path, config: ModelConfig) -> dict[str, VoiceLatents]:
    """A checkpoint's own voices: name → {gpt_cond_latent [1, 32, width], speaker_embedding [1, 512, 1]}."""
    if not path.is_file():
        return {}
    speakers = _unpickle(path)
    shapes = (32, config.gpt.width), (config.vocoder.speaker_width,)
    try:
        pairs = {str(name): [part.detach().float() for part in parts.values()] for name, parts in speakers.items()}
        return {
            name: VoiceLatents(cond_latents.reshape(shapes[0]).clone(), speaker_embedding.reshape(shapes[1]).clone())
            for name, (cond_latents, speaker_embedding) in pairs.items()
        }
    except (AttributeError, ValueError, RuntimeError, AssertionError) as error:
        raise CheckpointError(f"{path} does not hold this model's voices: {error}. Remove or replace it.") from error


def _read_voice_infos(path: Path) -> dict[str, VoiceInfo]:
    """Our own addition to coqui's layout: name → {description, licence}."""
    if not path.is_file():
        return {}
    try:
        return {name: VoiceInfo(name, **about) for name, about in _read_json(path).items()}
    except TypeError as error:
        raise CheckpointError(f"{path} does not describe voices: {error}. Copy it again.") from error


def _fingerprint(weights: str, config: ModelConfig) -> str:
    """Of all that a voice's latents follow from, besides its recording."""
    parts = [VOICE_ENCODER_VERSION, weights, asdict(config.conditioning), config.gpt.num_heads]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def file_sha256(path: Path, cache_dir: Path) -> str:
    """SHA-256 of a file. Remembered in `cache_dir/hashes` for as long as the file's size and time of change stay."""
    path = path.resolve()
    stat = path.stat()
    times = {"modified_ns": stat.st_mtime_ns, "changed_ns": stat.st_ctime_ns}  # copies may keep the first, never both
    state = {"path": str(path), "inode": stat.st_ino, "size_bytes": stat.st_size, **times}
    entry = cache_dir / "hashes" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"
    remembered = _read_remembered(entry)
    if remembered.get("state") == state:
        return str(remembered["sha256"])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        temporary = entry.with_suffix(f".{secrets.token_hex(4)}.partial")
        temporary.write_text(json.dumps({"state": state, "sha256": digest}) + "\n", encoding="utf-8")
        temporary.replace(entry)
    except OSError as error:
        logger.warning("the hash of %s is not remembered: %s", path, error)
    return digest


def _read_remembered(entry: Path) -> dict[str, Any]:
    try:
        remembered = json.loads(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return remembered if isinstance(remembered, dict) else {}
