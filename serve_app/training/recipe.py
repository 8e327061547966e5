"""What a model is to become: sizes, voices, how long each stage learns. `mini` ships, `smoke` is what CI runs."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from serve_app.errors import RequestError
from serve_app.model.config import GptConfig, ModelConfig, SamplingDefaults, TextFrontEnd, VocoderConfig
from serve_app.training import corpus
from serve_app.training.gpt import GptTraining
from serve_app.training.loop import Rhythm
from serve_app.training.vocabulary import phoneme_vocabulary
from serve_app.training.vocoder import VocoderTraining
from serve_app.training.voices import TrainingVoice, all_voices


@dataclass(frozen=True)
class Recipe:
    """`steps` of each stage are what `train` runs to where no other number is asked for."""

    name: str
    gpt_sizes: GptConfig
    vocoder_sizes: VocoderConfig
    voices: Sequence[TrainingVoice]
    sentences: Callable[[], list[str]]  # that the voices say
    sampling: SamplingDefaults
    gpt: GptTraining
    vocoder: VocoderTraining
    gpt_steps: int
    speaker_steps: int
    patch_vocoder_steps: int  # of the vocoder on the recordings' own patches
    vocoder_steps: int  # of the vocoder on the GPT's latents

    @property
    def token_ids(self) -> dict[str, int]:
        ids: dict[str, int] = phoneme_vocabulary()["model"]["vocab"]
        return ids

    @property
    def model_config(self) -> ModelConfig:
        return ModelConfig(
            name=self.name,
            gpt=self.gpt_sizes,
            vocoder=self.vocoder_sizes,
            sampling=self.sampling,
            languages=("en",),
            text_front_end=TextFrontEnd.ENGLISH_PHONEMES,
        )


def _gpt_sizes(num_layers: int, width: int, num_heads: int) -> GptConfig:
    ids = phoneme_vocabulary()["model"]["vocab"]
    return GptConfig(
        num_layers=num_layers,
        width=width,
        num_heads=num_heads,
        num_text_tokens=len(ids),
        start_text_token=ids["[START]"],
        stop_text_token=ids["[STOP]"],
        num_conditioning_blocks=2,
    )


def _vocoder_sizes(width: int, channels: int) -> VocoderConfig:
    return VocoderConfig(
        input_width=width,
        speaker_width=256,
        speaker_encoder_channels=(16, 32, 64, 128),
        initial_channels=channels,
        resblock_kernel_sizes=(3, 7),
        resblock_dilations=((1, 3, 5), (1, 3, 5)),
    )


MINI = Recipe(
    name="mini",
    gpt_sizes=_gpt_sizes(num_layers=6, width=256, num_heads=4),
    vocoder_sizes=_vocoder_sizes(256, 256),
    voices=all_voices(),
    sentences=corpus.sentences,
    sampling=SamplingDefaults(temperature=0.3, top_k=30, top_p=0.85, repetition_penalty=1.0),
    gpt=GptTraining(),
    vocoder=VocoderTraining(adversarial_from=12_000),
    gpt_steps=12_000,
    speaker_steps=400,
    patch_vocoder_steps=3_000,
    vocoder_steps=16_000,
)

# Of the teacher and the texts that need no system package.
_SMOKE_VOICES = [replace(voice, num_sentences=6) for voice in all_voices() if voice.name in ("joe", "joe-00")]
SMOKE = Recipe(
    name="smoke",
    gpt_sizes=_gpt_sizes(num_layers=2, width=128, num_heads=4),
    vocoder_sizes=_vocoder_sizes(128, 32),
    voices=_SMOKE_VOICES,
    sentences=lambda: corpus.templates(random.Random(7), 400),
    sampling=MINI.sampling,
    gpt=GptTraining(num_voices=2, per_voice=2, taught_layers=(0, 1), rhythm=Rhythm(2, 4), warmup_steps=2),
    vocoder=VocoderTraining(batch=2, num_frames=32, adversarial_from=3, rhythm=Rhythm(2), warmup_steps=2),
    gpt_steps=4,
    speaker_steps=2,
    patch_vocoder_steps=4,
    vocoder_steps=4,
)
RECIPES = {recipe.name: recipe for recipe in (MINI, SMOKE)}


def find_recipe(name: str) -> Recipe:
    """Raises RequestError with the names there are."""
    if name not in RECIPES:
        raise RequestError(f"there is no recipe {name!r}: choose one of {', '.join(RECIPES)}", field="recipe")
    return RECIPES[name]
