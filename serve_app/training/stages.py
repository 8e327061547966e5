"""The stages of a training run, from sentences to a checkpoint. Each reads what those before it left in the run's
folder, goes on where it stopped, and writes a plot of its losses.

folder/recordings/VOICE/    samples and sentences (data), codes and patches (codes)
folder/quantizer.safetensors, gpt.pt, speaker.pt, patch-vocoder.pt, vocoder.pt
folder/export/              the checkpoint
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor, nn

from serve_app.errors import RequestError
from serve_app.model.modules import new_speaker_encoder
from serve_app.model.pronunciation import PRONUNCIATIONS_FILE, Pronouncer, Pronunciations
from serve_app.training import lexicon
from serve_app.training.batches import VALIDATION_SHARE, Batcher
from serve_app.training.codes import (
    NUM_CODES,
    PATCHES_TO_LEARN_BY,
    QUANTIZER_FILE,
    EncodedVoice,
    Quantizer,
    QuantizerCoder,
    encode_voice,
    learn_quantizer,
    sample_patches,
)
from serve_app.training.corpus import held_out_sentences
from serve_app.training.data import assign, record, training_sentences
from serve_app.training.device import CPU
from serve_app.training.export import gather, write_checkpoint, write_voices
from serve_app.training.gpt import GptLearner, Student, neighbours
from serve_app.training.hearing import Ears
from serve_app.training.listen import Parts, losses_on_the_way
from serve_app.training.loop import Learner, Report, Rhythm, Stop, TrainingLoop, stopper
from serve_app.training.plots import plot_history
from serve_app.training.recipe import Recipe
from serve_app.training.recordings import Recording, voice_folders
from serve_app.training.references import REFERENCE_S, draw_reference
from serve_app.training.speaker import RHYTHM as SPEAKER_RHYTHM
from serve_app.training.speaker import SpeakerLearner
from serve_app.training.spectrogram import SAMPLE_RATE_HZ
from serve_app.training.vocoder import VocoderLearner
from serve_app.training.vocoder_module import VocoderModule
from serve_app.training.windows import Embed, LatentWindows, PatchWindows, SpeakerVectors, read_latents_instead

logger = logging.getLogger(__name__)

GPT_FILE, SPEAKER_FILE = "gpt.pt", "speaker.pt"
PATCH_VOCODER_FILE, VOCODER_FILE = "patch-vocoder.pt", "vocoder.pt"
MEL_STATS_VALUE = 5.0  # what log-mel frames of references are divided by

REFRESH_STEPS = 100  # of the vocoder, after which it looks for a newer GPT


class Run:
    """One training run in its folder."""

    def __init__(self, folder: Path, recipe: Recipe, report: Report, device: torch.device = CPU) -> None:
        self.folder, self.recipe, self._report, self._device = folder, recipe, report, device
        self.mel_stats = torch.full((80,), MEL_STATS_VALUE)

    # -- data ----------------------------------------------------------------------------------------------------------

    def data(self, only: str | None = None) -> None:
        """Sentences said by the teachers. `only`: voices whose teacher has this name, so that two runs can share."""
        pronounce = Pronouncer(self.pronunciations())
        sentences = training_sentences(self.recipe.sentences(), held_out_sentences())
        for voice in self.recipe.voices:
            if only is None or voice.teacher == only:
                mine = assign(sentences, self.recipe.voices)[voice.name]
                record(voice, mine, pronounce, self.folder / "recordings", self._report)

    def pronunciations(self) -> Pronunciations:
        path = self.folder / PRONUNCIATIONS_FILE
        if not path.is_file():
            self._report("learning letter-to-sound rules")
            self.folder.mkdir(parents=True, exist_ok=True)
            lexicon.build().write(path)
        return Pronunciations.read(path)

    def codes(self) -> None:
        """The quantiser, and codes and patches of every recording."""
        folders = list(voice_folders(self.folder / "recordings"))
        if not folders:
            raise RequestError(f"{self.folder} has no recordings: run the stage data first", field="folder")
        path = self.folder / QUANTIZER_FILE
        if not path.is_file():
            sample = sample_patches(folders, PATCHES_TO_LEARN_BY)
            quantizer, kept = learn_quantizer(sample, num_components=self.recipe.gpt_sizes.width)
            self._report(f"{NUM_CODES} codes keep {kept:.1%} of the variance of {len(sample)} patches")
            quantizer.save(path)
        for folder in folders:
            encode_voice(folder, QuantizerCoder(Quantizer.load(path)), self._report)

    # -- learning ------------------------------------------------------------------------------------------------------

    def gpt(self, steps: int, minutes: float | None = None) -> None:
        learner = GptLearner(self._student(), self._batcher(), self._quantizer().centroids, self.recipe.gpt)
        self._run(learner, self.recipe.gpt.rhythm, GPT_FILE, stopper(steps, minutes))

    def speaker(self, steps: int) -> None:
        self._run(
            SpeakerLearner(self._new_speaker_encoder(), self._voices()), SPEAKER_RHYTHM, SPEAKER_FILE, stopper(steps)
        )

    def patch_vocoder(self, steps: int, minutes: float | None = None) -> None:
        """The vocoder on the recordings' own patches; needs no GPT."""
        config = self.recipe.vocoder_sizes
        source = PatchWindows(self._voices(), self._speaker_vectors(), config)
        torch.manual_seed(0)
        learner = VocoderLearner(VocoderModule(config).to(self._device), source, self.recipe.vocoder)
        self._run(learner, self.recipe.vocoder.rhythm, PATCH_VOCODER_FILE, stopper(steps, minutes))

    def vocoder(self, steps: int, minutes: float | None = None) -> None:
        """The vocoder on the GPT's latents, from what it learnt on patches. Where the GPT is still learning, its newest
        state is taken now and then."""
        student = self._student()
        newest = _Newest(self.folder / GPT_FILE, student)
        newest.load()
        near = neighbours(self._quantizer().centroids, self.recipe.gpt.nearest)
        source = LatentWindows(
            student,
            self._batcher(),
            near,
            self.recipe.gpt.corrupted,
            self._speaker_vectors(),
            self.recipe.vocoder_sizes,
        )
        module = VocoderModule(self.recipe.vocoder_sizes).to(self._device)
        learner = VocoderLearner(module, source, self.recipe.vocoder)
        if not (self.folder / VOCODER_FILE).is_file():
            learnt = _load(self.folder / PATCH_VOCODER_FILE)
            module.load_state_dict(learnt["module"])
            learner.discriminators.load_state_dict(learnt["discriminators"])
            read_latents_instead(module.generator.conv_pre, student.patch_head)
        stop = stopper(steps, minutes)

        def stop_or_refresh(step: int) -> tuple[bool, float]:
            if step % REFRESH_STEPS == 0:
                newest.load()
            return stop(step)

        self._run(learner, self.recipe.vocoder.rhythm, VOCODER_FILE, stop_or_refresh)

    def _run(self, learner: Learner, rhythm: Rhythm, file_name: str, stop: Stop) -> None:
        """From where the file left it, until `stop` says so; a plot of the losses lies beside the file."""
        path = self.folder / file_name
        loop = TrainingLoop(learner, rhythm, path)
        loop.run(stop, self._report)
        plot_history(loop.state.history, path.with_suffix(".png"))

    def listen(self, voice: str, num_sentences: int) -> None:
        """Prints where words are lost between a recording and speech, by Whisper."""
        patch_vocoder, vocoder = (self._learnt_vocoder(name) for name in (PATCH_VOCODER_FILE, VOCODER_FILE))
        student = self._student().cpu().eval()
        student.load_state_dict(_load(self.folder / GPT_FILE)["student"])
        batcher = self._batcher()
        if voice not in [each.folder.name for each in batcher.voices]:
            raise RequestError(f"{self.folder} has no recordings of {voice!r}", field="voice")
        parts = Parts(batcher, student, patch_vocoder, vocoder, self._embed(), self.mel_stats)
        for step, rate in losses_on_the_way(parts, voice, num_sentences, Ears()):
            self._report(f"{voice}: {rate:.1%} of words wrong in {step}")

    # -- the result ----------------------------------------------------------------------------------------------------

    def export(self, directory: Path | None = None) -> Path:
        """The checkpoint with its voices; gives its directory."""
        directory = directory or self.folder / "export"
        config = self.recipe.model_config
        student = self._student()
        student.load_state_dict(_load(self.folder / GPT_FILE)["student"])
        module = self._learnt_vocoder(VOCODER_FILE)
        encoder = _load(self.folder / SPEAKER_FILE)["encoder"]
        tensors = gather(config, student.gpt.state_dict(), encoder, module.generator.state_dict(), self.mel_stats)
        write_checkpoint(directory, config, tensors, self._vocabulary(), self.pronunciations())
        self._quantizer().save(directory / QUANTIZER_FILE)
        self._write_voices(directory)
        size = sum(path.stat().st_size for path in directory.iterdir())
        self._report(f"{directory}: {size / 1e6:.1f} MB")
        return directory

    def references(self, directory: Path) -> None:
        """Two recordings of each shipped voice, of sentences that no stage learns from, as OGG files: what cloning is
        tested with."""
        directory.mkdir(parents=True, exist_ok=True)
        by_name = {voice.folder.name: voice for voice in self._voices()}
        for name in (voice.name for voice in self.recipe.voices if voice.description):
            voice = by_name[name]
            unseen = list(reversed(voice.recordings))[: int(len(voice.recordings) * VALIDATION_SHARE)]
            for number in (1, 2):
                pieces = [voice.folder.samples(recording) for recording in unseen[number - 1 :: 2]]
                samples = np.concatenate(pieces)[: int(REFERENCE_S * SAMPLE_RATE_HZ)]
                soundfile.write(directory / f"{name}-{number}.ogg", samples, SAMPLE_RATE_HZ)

    def _write_voices(self, directory: Path) -> None:
        from serve_app.model.checkpoint import load_directory
        from serve_app.model.conditioning import VoiceEncoder

        checkpoint = load_directory(directory, cache_dir=self.folder / "cache", progress=lambda _: None)
        encoder = VoiceEncoder(checkpoint)
        shipped = {voice.name: voice for voice in self.recipe.voices if voice.description}
        by_name = {voice.folder.name: voice for voice in self._voices()}
        draw = np.random.default_rng(41)
        latents = {
            name: encoder.encode(draw_reference(by_name[name], int(REFERENCE_S * SAMPLE_RATE_HZ), draw).numpy())
            for name in shipped
        }
        about = {name: {"description": voice.description, "licence": voice.licence} for name, voice in shipped.items()}
        write_voices(directory, latents, about)

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _vocabulary(self) -> dict[str, Any]:
        from serve_app.training.vocabulary import phoneme_vocabulary

        return phoneme_vocabulary()

    def _voices(self) -> list[EncodedVoice]:
        folders = list(voice_folders(self.folder / "recordings"))
        return [EncodedVoice.open(folder) for folder in folders]

    def _quantizer(self) -> Quantizer:
        return Quantizer.load(self.folder / QUANTIZER_FILE)

    def _student(self) -> Student:
        torch.manual_seed(0)
        return Student(self.recipe.gpt_sizes, self._quantizer().components.shape[1]).to(self._device)

    def _learnt_vocoder(self, file_name: str) -> VocoderModule:
        module = VocoderModule(self.recipe.vocoder_sizes)
        module.load_state_dict(_load(self.folder / file_name)["module"])
        return module.eval()

    def _batcher(self) -> Batcher:
        ids = self.recipe.token_ids

        def text_ids(recording: Recording) -> list[int]:
            return [ids["[en]"], *(ids["[SPACE]" if token == " " else token] for token in recording.tokens)]

        return Batcher(self._voices(), text_ids, self.recipe.gpt_sizes, self.mel_stats)

    def _new_speaker_encoder(self) -> nn.Module:
        torch.manual_seed(0)
        return new_speaker_encoder(self.recipe.vocoder_sizes).to(self._device)

    def _speaker_vectors(self) -> SpeakerVectors:
        return SpeakerVectors(self._voices(), self._embed())

    def _embed(self) -> Embed:
        encoder = self._new_speaker_encoder()
        encoder.load_state_dict(_load(self.folder / SPEAKER_FILE)["encoder"])
        encoder.eval()

        @torch.inference_mode()
        def embed(samples: Tensor) -> Tensor:
            vectors: Tensor = encoder(samples.to(self._device), l2_norm=True)
            return vectors.cpu()

        return embed


class _Newest:
    """Keeps a student up to date with a file that its trainer writes."""

    def __init__(self, path: Path, student: Student) -> None:
        self._path, self._student = path, student
        self._loaded_ns = 0

    def load(self) -> None:
        changed_ns = self._path.stat().st_mtime_ns if self._path.is_file() else 1
        if changed_ns > self._loaded_ns:
            self._student.load_state_dict(_load(self._path)["student"])
            self._loaded_ns = changed_ns


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise RequestError(f"there is no {path}: run the stage that makes it first", field="folder")
    saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return saved
