"""coqui-tts through its Python API, on the weights of `XTTS_MODEL`: `python -m loadtest.peers.coqui_api PORT`.

One request at a time, as coqui's own server does it: its model keeps state while it speaks.
"""

from dataclasses import asdict

import numpy as np
import torch

from loadtest.peers.answering import answer, port_asked
from serve_app.bench.coqui import build_coqui
from serve_app.model.checkpoint import load_checkpoint
from serve_app.model.conditioning import VoiceEncoder
from serve_app.model.config import SAMPLE_RATE_HZ
from serve_app.model.tokenizer import Tokenizer
from serve_app.settings import make_settings
from serve_app.speech.loading import own_voices
from serve_app.speech.request import DEFAULT_VOICE


def main() -> None:
    settings = make_settings()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    checkpoint = load_checkpoint(
        settings.model, accept_cpml=settings.accept_cpml, cache_dir=settings.model_cache, progress=lambda _: None
    )
    voice = own_voices(checkpoint, VoiceEncoder(checkpoint, device))[0][DEFAULT_VOICE]
    model = build_coqui(checkpoint, device)
    latents, speaker = voice.cond_latents[None].to(device), voice.speaker_embedding[None, :, None].to(device)
    tokenizer = Tokenizer(checkpoint.tokenizer_file, checkpoint.config.languages)
    per_token = checkpoint.config.fixed_codes_per_token
    sampling = asdict(checkpoint.config.sampling)  # as `Xtts.synthesize` hands its configuration on

    def speak(text: str, language: str) -> tuple[bytes, int]:
        forced: dict[str, int] = {}
        if per_token is not None:  # random weights find no end: as many codes as our service gives them
            num_codes = max(1, round(per_token * len(tokenizer.encode(text, language))))
            forced = {"min_new_tokens": num_codes, "max_new_tokens": num_codes}
        with torch.inference_mode():
            samples = np.asarray(model.inference(text, language, latents, speaker, **sampling, **forced)["wav"])
        return (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes(), SAMPLE_RATE_HZ

    answer(speak, port_asked(), is_one_at_a_time=True)


if __name__ == "__main__":
    main()
