"""What `synthetic:tiny` says, pinned: `python -m tests.golden.tiny` writes tiny.npz anew.

The other tests compare with coqui-tts as it is installed. This file remembers what it said when the file was made, so
that a library's change which moves both sides is seen too. Make it anew only when the synthetic weights change.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serve_app.engine.sequence import WHOLE, Prompt, SamplingParams
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.tokenizer import Tokenizer
from tests.engine.reference import generate, greedy, load, second_pass, waveform
from tests.engine.support import make_voice, running, speak_alone

FILE = Path(__file__).parent / "tiny.npz"
SPOKEN = (
    ("en", "The quick brown fox.", 1.0),
    ("ko", "안녕하세요. 만나서 반갑습니다.", 0.5),
    ("ja", "こんにちは。", 2.0),
)
NUM_CODES = 50
LATENTS = slice(None, None, 7)  # of the codes; all of their width
SAMPLES = slice(None, None, 11)
NUM_DRAWS = 120  # codes sampled with the default parameters, by our own noise

Arrays = dict[str, npt.NDArray[Any]]


def prompt_of(checkpoint: Checkpoint, number: int) -> Prompt:
    """The number-th text with greedy codes, in a voice of its own."""
    language, text, _ = SPOKEN[number]
    tokens = Tokenizer(checkpoint.tokenizer_file, checkpoint.config.languages).encode(text, language)
    return greedy(tuple(tokens), make_voice(checkpoint, number), NUM_CODES)


def sampled_prompt(checkpoint: Checkpoint) -> Prompt:
    first = prompt_of(checkpoint, 0)
    return Prompt(first.text_tokens, first.voice, SamplingParams(seed=77, num_forced_codes=NUM_DRAWS), 1.0, WHOLE)


def _arrays() -> Arrays:
    checkpoint, coqui = load("synthetic:tiny")
    arrays: Arrays = {}
    for number, (_, _, speed) in enumerate(SPOKEN):
        prompt = prompt_of(checkpoint, number)
        codes = generate(coqui, prompt).codes
        latents = second_pass(coqui, prompt, codes)
        samples = waveform(coqui, latents, prompt.voice, speed)
        arrays[f"tokens_{number}"] = np.array(prompt.text_tokens, np.int16)
        arrays[f"codes_{number}"] = np.array(codes, np.int16)
        arrays[f"latents_{number}"] = latents[LATENTS].numpy()
        arrays[f"samples_{number}"] = samples[SAMPLES].numpy()
    with running(checkpoint) as engine:
        drawn = speak_alone(engine, [sampled_prompt(checkpoint)])[0].codes
    arrays["drawn"] = np.array(drawn, np.int16)
    return arrays


if __name__ == "__main__":
    np.savez_compressed(FILE, **_arrays())  # type: ignore[arg-type]
