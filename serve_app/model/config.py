"""What a checkpoint says of its model: shapes, special ids, sampling defaults. Knows no tensors."""

from dataclasses import dataclass, field
from enum import StrEnum

# XTTS v2: one code stands for 1024 samples at 22.05 kHz; the vocoder upsamples frames of 256 samples at 24 kHz.
CODE_STRIDE = 1024
CODE_RATE_HZ = 22_050 / CODE_STRIDE
SAMPLE_RATE_HZ = 24_000
NUM_CONDITIONING_LATENTS = 32


@dataclass(frozen=True)
class GptConfig:
    """Shape of the GPT. Field meanings follow `TTS.tts.configs.xtts_config.XttsArgs`; defaults are XTTS v2's."""

    num_layers: int = 30
    width: int = 1024
    num_heads: int = 16
    num_text_tokens: int = 6_681
    num_audio_tokens: int = 1_026
    start_text_token: int = 261
    stop_text_token: int = 0
    start_audio_token: int = 1_024
    stop_audio_token: int = 1_025
    max_audio_tokens: int = 605  # coqui's gpt_max_audio_tokens
    max_text_tokens: int = 402  # coqui's gpt_max_text_tokens
    max_prompt_tokens: int = 70
    num_conditioning_blocks: int = 6  # attention blocks of the conditioning encoder

    def __post_init__(self) -> None:
        assert self.width % self.num_heads == 0

    @property
    def head_size(self) -> int:
        return self.width // self.num_heads

    @property
    def max_codes(self) -> int:
        """Codes one sequence may have, stop included (TTS.tts.layers.xtts.gpt: max_gen_mel_tokens)."""
        return self.max_audio_tokens - 3

    @property
    def max_sentence_tokens(self) -> int:
        """Text tokens one sequence may have, START and STOP not counted; coqui asserts `< gpt_max_text_tokens`."""
        return self.max_text_tokens - 1

    @property
    def num_audio_positions(self) -> int:
        return self.max_audio_tokens + 3

    @property
    def num_text_positions(self) -> int:
        return self.max_text_tokens + 2

    @property
    def max_positions(self) -> int:
        """Rows of the key-value cache one sequence may fill: latents, START text STOP, start code and codes."""
        return NUM_CONDITIONING_LATENTS + self.max_sentence_tokens + 2 + self.max_codes


@dataclass(frozen=True)
class VocoderConfig:
    """Shape of the HiFi-GAN decoder (`TTS.tts.layers.xtts.hifigan_decoder.HifiDecoder`); defaults are XTTS v2's."""

    input_width: int = 1024
    speaker_width: int = 512
    speaker_encoder_channels: tuple[int, ...] = (32, 64, 128, 256)
    initial_channels: int = 512
    upsample_rates: tuple[int, ...] = (8, 8, 2, 2)
    upsample_kernel_sizes: tuple[int, ...] = (16, 16, 4, 4)
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
    resblock_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    input_sample_rate_hz: int = 22_050
    output_sample_rate_hz: int = SAMPLE_RATE_HZ
    hop_length: int = 256


@dataclass(frozen=True)
class SamplingDefaults:
    """The checkpoint's own sampling values."""

    temperature: float = 0.75
    top_k: int = 50
    top_p: float = 0.85
    repetition_penalty: float = 5.0


@dataclass(frozen=True)
class ConditioningConfig:
    """How a reference recording becomes latents: seconds used, seconds a chunk, seconds kept at most."""

    length_s: int = 30
    chunk_s: int = 4
    max_reference_s: int = 30
    normalize_volume: bool = False


class TextFrontEnd(StrEnum):
    """What a model's text tokens are made of."""

    LETTERS = "letters"
    ENGLISH_PHONEMES = "english_phonemes"  # by the checkpoint's own pronunciations file


@dataclass(frozen=True)
class ModelConfig:
    """Everything the program needs to know of a checkpoint besides its tensors."""

    name: str
    gpt: GptConfig = GptConfig()
    vocoder: VocoderConfig = VocoderConfig()
    sampling: SamplingDefaults = SamplingDefaults()
    conditioning: ConditioningConfig = ConditioningConfig()
    languages: tuple[str, ...] = field(
        default=(
            "en",
            "es",
            "fr",
            "de",
            "it",
            "pt",
            "pl",
            "tr",
            "ru",
            "nl",
            "cs",
            "ar",
            "zh-cn",
            "hu",
            "ko",
            "ja",
            "hi",
        )
    )
    text_front_end: TextFrontEnd = TextFrontEnd.LETTERS
    fixed_codes_per_token: float | None = None  # synthetic models never stop by themselves: length follows the text
