"""coqui-tts's own XTTS on a checkpoint's weights: what parity tests and the bench compare with. Not used to serve."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from TTS.tts.configs.xtts_config import XttsConfig
from TTS.tts.layers.tortoise.autoregressive import ConditioningEncoder
from TTS.tts.layers.xtts.gpt import GPT
from TTS.tts.layers.xtts.hifigan_decoder import HifiDecoder
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
from TTS.tts.models.xtts import Xtts

from serve_app.bench.measure import Measurement, peak_memory_bytes, reset_peak_memory
from serve_app.bench.workload import Utterance
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.config import SAMPLE_RATE_HZ, VocoderConfig
from serve_app.model.config_file import to_coqui
from serve_app.model.tokenizer import Tokenizer
from serve_app.voices.voice import VoiceLatents


class QuickXtts(Xtts):  # type: ignore[misc]  # coqui-tts is untyped
    """coqui's `Xtts`, built without drawing weights that loading overwrites, with the sizes that coqui fixes."""

    def __init__(self, config: XttsConfig, num_conditioning_blocks: int, vocoder: VocoderConfig) -> None:
        self._num_conditioning_blocks, self._vocoder = num_conditioning_blocks, vocoder
        super().__init__(config)

    def init_models(self) -> None:
        """As in the parent, with the same arguments."""
        args, vocoder = self.args, self._vocoder
        with torch.device("meta"):
            self.gpt = GPT(
                layers=args.gpt_layers,
                model_dim=args.gpt_n_model_channels,
                start_text_token=args.gpt_start_text_token,
                stop_text_token=args.gpt_stop_text_token,
                heads=args.gpt_n_heads,
                max_text_tokens=args.gpt_max_text_tokens,
                max_mel_tokens=args.gpt_max_audio_tokens,
                max_prompt_tokens=args.gpt_max_prompt_tokens,
                number_text_tokens=args.gpt_number_text_tokens,
                num_audio_tokens=args.gpt_num_audio_tokens,
                start_audio_token=args.gpt_start_audio_token,
                stop_audio_token=args.gpt_stop_audio_token,
                use_perceiver_resampler=args.gpt_use_perceiver_resampler,
                code_stride_len=args.gpt_code_stride_len,
            )
            self.gpt.conditioning_encoder = ConditioningEncoder(
                80, args.gpt_n_model_channels, self._num_conditioning_blocks, num_attn_heads=args.gpt_n_heads
            )
        self.hifigan_decoder = HifiDecoder(
            input_sample_rate=args.input_sample_rate,
            output_sample_rate=args.output_sample_rate,
            output_hop_length=args.output_hop_length,
            ar_mel_length_compression=args.gpt_code_stride_len,
            decoder_input_dim=args.decoder_input_dim,
            resblock_dilation_sizes_decoder=vocoder.resblock_dilations,
            resblock_kernel_sizes_decoder=vocoder.resblock_kernel_sizes,
            upsample_rates_decoder=vocoder.upsample_rates,
            upsample_initial_channel_decoder=vocoder.initial_channels,
            upsample_kernel_sizes_decoder=vocoder.upsample_kernel_sizes,
            d_vector_dim=args.d_vector_dim,
            cond_d_vector_in_each_upsampling_layer=args.cond_d_vector_in_each_upsampling_layer,
        )
        speaker_encoder = self.hifigan_decoder.speaker_encoder
        self.hifigan_decoder.speaker_encoder = type(speaker_encoder)(
            input_dim=64,
            proj_dim=vocoder.speaker_width,
            num_filters=list(vocoder.speaker_encoder_channels),
            log_input=True,
            use_torch_spec=True,
            audio_config=speaker_encoder.audio_config,
        )


def build_coqui(checkpoint: Checkpoint, device: torch.device | str = "cpu") -> Xtts:
    """coqui's `Xtts` in eval mode and float32, sharing the checkpoint's tensors on a CPU; weights loaded strictly."""
    config = XttsConfig()
    config.from_dict(to_coqui(checkpoint.config))
    tokenizer = VoiceBpeTokenizer(vocab_file=checkpoint.tokenizer_file)
    if checkpoint.pronunciations_file is not None:  # of phonemes, which coqui's tokenizer does not know
        phonemes = Tokenizer(checkpoint.tokenizer_file, checkpoint.config.languages, checkpoint.pronunciations_file)
        tokenizer.encode = lambda text, lang: phonemes.encode(text, lang)
    gpt = checkpoint.config.gpt
    config.model_args.gpt_number_text_tokens = gpt.num_text_tokens
    config.model_args.gpt_start_text_token = gpt.start_text_token
    config.model_args.gpt_stop_text_token = gpt.stop_text_token
    model = QuickXtts(config, gpt.num_conditioning_blocks, checkpoint.config.vocoder)
    model.tokenizer = tokenizer
    model.load_state_dict(checkpoint.tensors, strict=True, assign=True)
    model.requires_grad_(False)
    model.eval()  # builds `gpt_inference` too
    left_on_meta = [name for name, tensor in (*model.named_parameters(), *model.named_buffers()) if tensor.is_meta]
    assert not left_on_meta, left_on_meta
    return model.to(device)


class CoquiSide:
    """Requests through `Xtts.inference`, one after another, as its users must."""

    def __init__(self, checkpoint: Checkpoint, voice: VoiceLatents, device: torch.device) -> None:
        self._model = build_coqui(checkpoint, device)
        self._voice = voice
        self._device = device
        self._seconds = {"generate": 0.0, "second_pass": 0.0, "vocoder": 0.0}
        self._time(self._model.gpt, "generate", "generate")
        self._time(self._model.gpt, "forward", "second_pass")
        self._time(self._model.hifigan_decoder, "forward", "vocoder")

    def run(self, jobs: list[Utterance], num_sampled: int) -> Measurement:
        """Speaks the first `num_sampled` of `jobs`; the rest would wait for them and take as long each on average."""
        sampled = jobs[:num_sampled] if num_sampled else jobs
        reset_peak_memory(self._device)
        self._seconds |= dict.fromkeys(self._seconds, 0.0)
        totals = []
        num_samples = 0
        for job in sampled:
            start_s = time.perf_counter()
            num_samples += len(self._speak(job))
            totals.append(time.perf_counter() - start_s)
        seconds = dict(self._seconds)
        own_s = self._first_audio_s(jobs[0])
        mean_s = sum(totals) / len(totals)
        waits = [index * mean_s + own_s for index in range(len(jobs))]
        return Measurement(
            wall_s=sum(totals),
            audio_s=num_samples / SAMPLE_RATE_HZ,
            num_codes=sum(job.num_codes for job in sampled),
            ttfa_s=waits,
            peak_memory_bytes=peak_memory_bytes(self._device),
            gpt_s=seconds["generate"] + seconds["second_pass"],
            vocoder_s=seconds["vocoder"],
        )

    def _speak(self, job: Utterance) -> Any:
        latents, speaker = self._latents()
        forced = {"min_new_tokens": job.num_codes, "max_new_tokens": job.num_codes}
        return self._model.inference(job.text, job.language, latents, speaker, **forced)["wav"]

    def _first_audio_s(self, job: Utterance) -> float:
        latents, speaker = self._latents()
        start_s = time.perf_counter()
        stream = self._model.inference_stream(job.text, job.language, latents, speaker)
        next(stream)
        first_s = time.perf_counter() - start_s
        stream.close()
        return first_s

    def _latents(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._voice.cond_latents[None], self._voice.speaker_embedding[None, :, None]

    def _time(self, module: Any, method: str, stage: str) -> None:
        inner: Callable[..., Any] = getattr(module, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self._stage(stage):
                return inner(*args, **kwargs)

        setattr(module, method, timed)

    @contextmanager
    def _stage(self, stage: str) -> Iterator[None]:
        start_s = time.perf_counter()
        yield
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        self._seconds[stage] += time.perf_counter() - start_s
