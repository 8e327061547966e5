"""Fine-tuning: a checkpoint that speaks a voice, or a way of speaking, better than it would from a reference alone.

The GPT learns on from the recordings; where the checkpoint brings what its vocoder was trained with, the vocoder learns
on as well. Everything lies in OUTPUT/training until the best of it is exported, so a run that was stopped goes on.
"""

import json
import logging
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from serve_app.audio.decode import decode_recording
from serve_app.audio.pcm import Recording as Audio
from serve_app.errors import RequestError, ServiceError
from serve_app.model.checkpoint import load_directory
from serve_app.model.conditioning import VoiceEncoder
from serve_app.model.download import TRAINING_FILES, fetch_checkpoint
from serve_app.model.modules import build_speaker_encoder, fill
from serve_app.model.source import PUBLISHED, check_licence, directory_of
from serve_app.model.state_dict import MEL_STATS, SPEAKER_ENCODER, VOCODER
from serve_app.model.tokenizer import Tokenizer
from serve_app.settings import Settings
from serve_app.training.batches import Batcher
from serve_app.training.coders import DVAE_FILE, MEL_STATS_FILE, find_coder
from serve_app.training.codes import QUANTIZER_FILE, EncodedVoice, QuantizerCoder, encode_voice
from serve_app.training.datasets import Transcribed, read_dataset
from serve_app.training.device import CPU
from serve_app.training.export import save_readable, write_voices
from serve_app.training.gpt import GptLearner, GptTraining, Student, neighbours
from serve_app.training.loop import Report, Rhythm, TrainingLoop, TrainingState
from serve_app.training.plots import plot_history
from serve_app.training.recordings import Recording, VoiceFolder
from serve_app.training.references import REFERENCE_S, draw_reference
from serve_app.training.spectrogram import SAMPLE_RATE_HZ
from serve_app.training.teachers import LOUDNESS
from serve_app.training.vocoder import VocoderLearner, VocoderTraining
from serve_app.training.vocoder_module import VocoderModule
from serve_app.training.windows import LatentWindows, SpeakerVectors
from serve_app.voices.reference import resample_reference

logger = logging.getLogger(__name__)

WORK = "training"  # folder of the output
MIN_RECORDINGS = 4
VALIDATION_SHARE = 0.1
COPIED = ("config.json", "vocab.json", "pronunciations.json.gz", QUANTIZER_FILE, DVAE_FILE, MEL_STATS_FILE)
MAX_UPLOAD_BYTES = 1 << 30


@dataclass(frozen=True)
class FinetuneOptions:
    """`patience`: validations in a row without a better loss after which it stops. A learning rate of None is chosen by
    the size of the model."""

    voice: str
    language: str
    steps: int = 2_000
    vocoder_steps: int = 300
    batch: int = 8
    learning_rate: float | None = None
    validate_every: int = 50
    patience: int = 5


class Finetune:
    def __init__(
        self,
        base: Path,
        data: Path,
        output: Path,
        options: FinetuneOptions,
        report: Report,
        device: torch.device = CPU,
    ) -> None:
        """Raises a ServiceError for what is wrong with the base or the data."""
        self.options, self._report, self.output, self._device = options, report, output, device
        self.base = base
        self._work = output / WORK
        self.checkpoint = load_directory(self.base, cache_dir=self._work / "cache", progress=report)
        config = self.checkpoint.config
        if options.language not in config.languages:
            known = ", ".join(config.languages)
            raise RequestError(f"the base does not speak {options.language!r}: it speaks {known}", field="language")
        self._tokenizer = Tokenizer(
            self.checkpoint.tokenizer_file, config.languages, self.checkpoint.pronunciations_file
        )
        self._coder = find_coder(self.base, config.gpt)
        self._folder = VoiceFolder(self._work / "recordings" / options.voice)
        self._import(read_dataset(data))
        encode_voice(self._folder, self._coder, report)
        self.voice = EncodedVoice.open(self._folder)
        self.batcher = Batcher(
            [self.voice], self._text_ids, config.gpt, self.checkpoint.tensors[MEL_STATS], VALIDATION_SHARE
        )

    @property
    def _quantizer_coder(self) -> QuantizerCoder | None:
        return self._coder if isinstance(self._coder, QuantizerCoder) else None

    # -- data ----------------------------------------------------------------------------------------------------------

    def _import(self, dataset: list[Transcribed]) -> None:
        """Recordings at our rate, beside their texts, without those that the model cannot learn from."""
        marker = self._work / "imported.json"
        names = [str(each.path) for each in dataset]
        if marker.is_file() and json.loads(marker.read_text(encoding="utf-8")) == names:
            return
        if self._folder.folder.exists():
            shutil.rmtree(self._folder.folder)
        start, skipped = 0, 0
        for each in dataset:
            try:
                samples = self._samples(each.path)
                self._tokenizer.encode(each.text, self.options.language)
            except ServiceError as error:
                self._report(f"left out {each.path.name}: {error.message}")
                skipped += 1
                continue
            start += self._folder.append(each.text, samples, [], [], start).num_samples
        num_kept = len(dataset) - skipped
        if num_kept < MIN_RECORDINGS:
            raise RequestError(f"{num_kept} recordings can be used, {MIN_RECORDINGS} are the least", field="data")
        self._report(f"{num_kept} recordings, {start / SAMPLE_RATE_HZ / 60.0:.1f} minutes; {skipped} left out")
        marker.write_text(json.dumps(names), encoding="utf-8")

    def _samples(self, path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
        audio = decode_recording(path.read_bytes(), max_bytes=MAX_UPLOAD_BYTES, field="data")
        samples = resample_reference(Audio(audio.samples, audio.sample_rate_hz))
        if self._quantizer_coder is not None:  # its model has met one loudness only
            loudness = float(np.sqrt(np.mean(samples**2)))
            samples = samples * min(LOUDNESS / max(loudness, 1e-4), 0.95 / float(np.abs(samples).max()))
        return samples

    def _text_ids(self, recording: Recording) -> list[int]:
        return self._tokenizer.encode(recording.text, self.options.language)

    # -- learning ------------------------------------------------------------------------------------------------------

    def train_gpt(self) -> dict[str, Tensor]:
        """The parameters of the best validation, under a checkpoint's names."""
        config, options = self.checkpoint.config.gpt, self.options
        num_components = self.voice.components.shape[1]
        student = Student(config, num_components).to(self._device)
        student.gpt.load_state_dict(_part(self.checkpoint.tensors, "gpt."))
        is_small = config.width <= 512
        how = GptTraining(
            learning_rate=options.learning_rate or (2e-4 if is_small else 1e-5),
            warmup_steps=50,
            num_voices=1,
            per_voice=options.batch,
            taught_layers=(),
            patch_weight=0.0,
            corrupted=0.1 if is_small else 0.0,
            rhythm=Rhythm(min(25, options.validate_every), options.validate_every, save_every_s=120.0),
        )
        quantizer = self._quantizer_coder
        centroids = quantizer.quantizer.centroids if quantizer is not None else None
        loop = TrainingLoop(GptLearner(student, self.batcher, centroids, how), how.rhythm, self._work / "gpt.pt")
        best_file = self._work / "best-gpt.pt"
        stopper = EarlyStopping(student, loop.state, best_file, options.steps, options.patience)
        loop.run(stopper, self._report)
        stopper.look()
        plot_history(loop.state.history, self.output / "gpt.png")
        self._report(f"best validation loss {stopper.best:.3f} at step {stopper.best_step}")
        best: dict[str, Tensor] = torch.load(best_file, map_location="cpu", weights_only=True)
        return {f"gpt.{name}": tensor for name, tensor in best.items()}

    def train_vocoder(self, gpt: dict[str, Tensor]) -> dict[str, Tensor]:
        """The vocoder on the latents of the GPT that was learnt; nothing where the base's own data is needed for it."""
        quantizer = self._quantizer_coder
        if quantizer is None or self.options.vocoder_steps == 0:
            return {}
        config = self.checkpoint.config
        student = Student(config.gpt, self.voice.components.shape[1]).to(self._device)
        student.gpt.load_state_dict(_part(gpt, "gpt."))
        module = VocoderModule(config.vocoder).to(self._device)
        module.generator.load_state_dict(_part(self.checkpoint.tensors, VOCODER))
        encoder = fill(build_speaker_encoder(config.vocoder), self.checkpoint.tensors, SPEAKER_ENCODER)

        @torch.inference_mode()
        def embed(samples: Tensor) -> Tensor:
            vectors: Tensor = encoder(samples, l2_norm=True)
            return vectors

        source = LatentWindows(
            student,
            self.batcher,
            neighbours(quantizer.quantizer.centroids, 8),
            0.1,
            SpeakerVectors([self.voice], embed),
            config.vocoder,
        )
        how = VocoderTraining(
            learning_rate=2e-4, warmup_steps=50, batch=8, adversarial_from=10**9, rhythm=Rhythm(report_every=25)
        )
        loop = TrainingLoop(VocoderLearner(module, source, how), how.rhythm, self._work / "vocoder.pt")
        steps = self.options.vocoder_steps
        loop.run(lambda step: (step >= steps, max(0.05, 1.0 - step / steps)), self._report)
        plot_history(loop.state.history, self.output / "vocoder.png")
        return {VOCODER + name: tensor.detach().cpu() for name, tensor in module.generator.state_dict().items()}

    def reference(self) -> Audio:
        """Some seconds of the voice, from its recordings one after another."""
        samples = draw_reference(self.voice, int(REFERENCE_S * SAMPLE_RATE_HZ), np.random.default_rng(43))
        return Audio(samples.numpy(), SAMPLE_RATE_HZ)

    # -- the result ----------------------------------------------------------------------------------------------------

    def export(self, learnt: dict[str, Tensor]) -> None:
        """The base with what was learnt, and with the voice in front of its own."""
        for name in COPIED:
            if (self.base / name).is_file():
                shutil.copyfile(self.base / name, self.output / name)
        tensors = self.checkpoint.tensors | learnt
        is_half = sum(tensor.nbytes for tensor in tensors.values()) < 200e6  # as `mini` is kept
        kept = {
            name: (tensor.half() if is_half and tensor.is_floating_point() else tensor).clone()
            for name, tensor in tensors.items()
        }
        save_readable(kept, self.output / "model.safetensors")
        tuned = replace(self.checkpoint, tensors=tensors)
        voices = {self.options.voice: VoiceEncoder(tuned).encode(self.reference().samples)} | self.checkpoint.speakers
        about = {
            name: {"description": info.description, "licence": info.licence}
            for name, info in self.checkpoint.voice_infos.items()
        }
        about[self.options.voice] = {"description": "fine-tuned", "licence": "as the recordings it was made from"}
        write_voices(self.output, voices, {name: about.get(name, {}) for name in voices})


class EarlyStopping:
    """Keeps the best parameters, and stops after `patience` validations without better ones."""

    def __init__(self, student: Student, state: TrainingState, best_file: Path, steps: int, patience: int) -> None:
        self._student, self._history = student, state.history
        self._file, self._steps, self._patience = best_file, steps, patience
        self.best, self.best_step = float("inf"), 0
        self._num_worse = 0
        for entry in self._history:
            self._judge(entry)
        self._num_seen = len(self._history)

    def __call__(self, step: int) -> tuple[bool, float]:
        self.look()
        return step >= self._steps or self._num_worse >= self._patience, max(0.1, 1.0 - step / self._steps)

    def look(self) -> None:
        """Takes in the validations since the last look."""
        for entry in self._history[self._num_seen :]:
            if self._judge(entry):
                torch.save(self._student.gpt.state_dict(), self._file)
        self._num_seen = len(self._history)

    def _judge(self, entry: dict[str, float]) -> bool:
        loss = entry.get("validation code")
        if loss is None:
            return False
        if loss < self.best:
            self.best, self.best_step, self._num_worse = loss, int(entry["step"]), 0
            return True
        self._num_worse += 1
        return False


def base_directory(base: str, settings: Settings, report: Report) -> Path:
    """The directory of `mini`, of a checkpoint, or of the published one, which is fetched.

    Raises CheckpointError, LicenceNotAccepted; RequestError for a model that is no directory.
    """
    if base.startswith("synthetic:"):
        raise RequestError("a synthetic model has nothing to learn on from: choose mini or a directory", field="base")
    if base == PUBLISHED:
        check_licence(settings.accept_cpml)
        return fetch_checkpoint(settings.model_cache.expanduser() / PUBLISHED, report, files=TRAINING_FILES)
    return directory_of(base)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
