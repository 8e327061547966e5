"""coqui's `config.json` ↔ `ModelConfig`. Knows its keys and coqui's defaults for those left out; reads no tensors.

Keys of our own, which coqui ignores: `vocoder` (fields of `VocoderConfig`), `num_conditioning_blocks`,
`text_front_end` and `fixed_codes_per_token`.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, NoReturn, TypeVar

from TTS.tts.configs.xtts_config import XttsConfig

from serve_app.errors import CheckpointError
from serve_app.model.config import (
    CODE_STRIDE,
    SAMPLE_RATE_HZ,
    ConditioningConfig,
    GptConfig,
    ModelConfig,
    SamplingDefaults,
    TextFrontEnd,
    VocoderConfig,
)

Number = TypeVar("Number", int, float)

GPT_KEYS = {
    "num_layers": "gpt_layers",
    "width": "gpt_n_model_channels",
    "num_heads": "gpt_n_heads",
    "num_audio_tokens": "gpt_num_audio_tokens",
    "start_audio_token": "gpt_start_audio_token",
    "stop_audio_token": "gpt_stop_audio_token",
    "max_audio_tokens": "gpt_max_audio_tokens",
    "max_text_tokens": "gpt_max_text_tokens",
    "max_prompt_tokens": "gpt_max_prompt_tokens",
}
# What the engine and the vocoder are built on; other values are another architecture.
FIXED_ARGS: dict[str, int | bool] = {
    "gpt_use_perceiver_resampler": True,
    "gpt_code_stride_len": CODE_STRIDE,
    "input_sample_rate": 22_050,
    "output_sample_rate": SAMPLE_RATE_HZ,
    "output_hop_length": 256,
    "cond_d_vector_in_each_upsampling_layer": True,
}


class ConfigFile:
    """A parsed config.json. Values left out are those of coqui's `XttsConfig`, as coqui itself would have them."""

    def __init__(self, raw: Mapping[str, Any], source: str) -> None:
        self._source = source
        defaults = XttsConfig().to_dict()
        if raw.get("model", "xtts") != "xtts":
            self._refuse(f"model is {raw['model']!r}, not 'xtts'")
        args = raw.get("model_args", {})
        if not isinstance(args, Mapping):
            self._refuse("model_args is not an object")
        self._raw = {**defaults, **raw}
        self._args = {**defaults["model_args"], **args}

    def gpt(self, num_text_tokens: int, start_text_token: int, stop_text_token: int) -> GptConfig:
        """The text ids come from the tensors and the vocabulary, as in coqui's `Xtts.init_models`."""
        self._check_architecture()
        numbers = {field: self._number(self._args, key, int) for field, key in GPT_KEYS.items()}
        if min(numbers.values()) < 1 or numbers["width"] % numbers["num_heads"] != 0:
            self._refuse("its sizes are not positive, or gpt_n_model_channels is no multiple of gpt_n_heads")
        if max(numbers["start_audio_token"], numbers["stop_audio_token"]) >= numbers["num_audio_tokens"]:
            self._refuse("gpt_start_audio_token or gpt_stop_audio_token is beyond gpt_num_audio_tokens")
        return GptConfig(
            num_text_tokens=num_text_tokens,
            start_text_token=start_text_token,
            stop_text_token=stop_text_token,
            num_conditioning_blocks=self._num_conditioning_blocks(),
            **numbers,
        )

    def _check_architecture(self) -> None:
        if not self._args["gpt_use_perceiver_resampler"]:
            self._refuse("gpt_use_perceiver_resampler is off: this is XTTS v1, whose voices work differently")
        for key, expected in FIXED_ARGS.items():
            if self._args[key] != expected:
                self._refuse(f"{key} is {self._args[key]!r}, only {expected!r} is supported")
        if self._args["decoder_input_dim"] != self._args["gpt_n_model_channels"]:
            self._refuse("decoder_input_dim differs from gpt_n_model_channels")

    def vocoder(self) -> VocoderConfig | None:
        """The `vocoder` section; None where the file has none and shapes must tell."""
        section = self._raw.get("vocoder")
        if section is None:
            return None
        known = {field.name for field in fields(VocoderConfig)}
        if not isinstance(section, Mapping) or not set(section) <= known:
            self._refuse(f"its vocoder section must be an object with some of the keys {sorted(known)}")
        config = VocoderConfig(**{key: _tuples(value) for key, value in section.items()})
        if not self._is_sound(config):
            self._refuse("its vocoder section is inconsistent: rates must multiply to 256, lists must match in length")
        return config

    def _is_sound(self, config: VocoderConfig) -> bool:
        samples_per_frame = 1
        for rate in config.upsample_rates:
            samples_per_frame *= rate
        return (
            samples_per_frame == config.hop_length == self._args["output_hop_length"]
            and config.input_width == self._args["decoder_input_dim"]
            and config.speaker_width == self._args["d_vector_dim"]
            and len(config.upsample_rates) == len(config.upsample_kernel_sizes)
            and len(config.resblock_kernel_sizes) == len(config.resblock_dilations)
            and len(config.speaker_encoder_channels) == len(VocoderConfig().speaker_encoder_channels)
            and config.initial_channels % 2 ** len(config.upsample_rates) == 0
        )

    @property
    def input_width(self) -> int:
        return self._number(self._args, "decoder_input_dim", int)

    @property
    def speaker_width(self) -> int:
        return self._number(self._args, "d_vector_dim", int)

    def _num_conditioning_blocks(self) -> int:
        if "num_conditioning_blocks" not in self._raw:
            return GptConfig().num_conditioning_blocks
        return self._number(self._raw, "num_conditioning_blocks", int)

    def text_front_end(self) -> TextFrontEnd:
        name = self._raw.get("text_front_end", TextFrontEnd.LETTERS)
        if name not in tuple(TextFrontEnd):
            self._refuse(f"text_front_end is {name!r}, not one of {', '.join(TextFrontEnd)}")
        return TextFrontEnd(name)

    def sampling(self) -> SamplingDefaults:
        return SamplingDefaults(
            temperature=self._number(self._raw, "temperature", float),
            top_k=self._number(self._raw, "top_k", int),
            top_p=self._number(self._raw, "top_p", float),
            repetition_penalty=self._number(self._raw, "repetition_penalty", float),
        )

    def conditioning(self) -> ConditioningConfig:
        config = ConditioningConfig(
            length_s=self._number(self._raw, "gpt_cond_len", int),
            chunk_s=self._number(self._raw, "gpt_cond_chunk_len", int),
            max_reference_s=self._number(self._raw, "max_ref_len", int),
            normalize_volume=bool(self._raw["sound_norm_refs"]),
        )
        if min(config.chunk_s, config.max_reference_s) < 1:
            self._refuse("gpt_cond_chunk_len and max_ref_len must be at least 1")
        return config

    def languages(self) -> tuple[str, ...]:
        languages = self._raw["languages"]
        if not isinstance(languages, list) or not languages or not all(isinstance(code, str) for code in languages):
            self._refuse("languages is not a list of codes")
        return tuple(languages)

    def fixed_codes_per_token(self) -> float | None:
        if self._raw.get("fixed_codes_per_token") is None:
            return None
        return self._number(self._raw, "fixed_codes_per_token", float)

    def _number(self, values: Mapping[str, Any], key: str, kind: type[Number]) -> Number:
        value = values[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or (kind is int and value != int(value)):
            self._refuse(f"{key} is {value!r}, not a number of the right kind")
        return kind(value)

    def _refuse(self, problem: str) -> NoReturn:
        raise CheckpointError(
            f"{self._source} does not describe an XTTS v2 model: {problem}. Use the one that belongs to the weights."
        )


def to_coqui(config: ModelConfig) -> dict[str, Any]:
    """The configuration as coqui's config.json has it, with our own keys beside it."""
    raw: dict[str, Any] = XttsConfig().to_dict()
    raw["model_args"] |= {key: getattr(config.gpt, field) for field, key in GPT_KEYS.items()} | FIXED_ARGS
    raw["model_args"] |= {
        "gpt_number_text_tokens": config.gpt.num_text_tokens,
        "decoder_input_dim": config.vocoder.input_width,
        "d_vector_dim": config.vocoder.speaker_width,
    }
    return raw | {
        "languages": list(config.languages),
        "temperature": config.sampling.temperature,
        "top_k": config.sampling.top_k,
        "top_p": config.sampling.top_p,
        "repetition_penalty": config.sampling.repetition_penalty,
        "gpt_cond_len": config.conditioning.length_s,
        "gpt_cond_chunk_len": config.conditioning.chunk_s,
        "max_ref_len": config.conditioning.max_reference_s,
        "sound_norm_refs": config.conditioning.normalize_volume,
        "fixed_codes_per_token": config.fixed_codes_per_token,
        "num_conditioning_blocks": config.gpt.num_conditioning_blocks,
        "text_front_end": config.text_front_end,
        "vocoder": asdict(config.vocoder),
    }


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
