"""The experiments by name: the question, and the variants that answer it."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from loadtest.experiments.variant import TEXT, Variant
from loadtest.recordings import reading_of

LONG_TEXT = (
    "On the morning of the market the whole street was awake before the sun. Carts came down from the hills with "
    "apples, onions and cheese, and the children ran between them. An old man sold clocks that did not agree with "
    "each other. By noon the square was so full that nobody could have fallen over."
)
LENGTHS = (10, 50, 100, 200)  # characters
SPEEDS = (0.5, 0.8, 1.0, 1.2, 1.5)
REFERENCES_S = (1.0, 3.0, 6.0, 10.0, 15.0, 30.0)
CROWD = 8


@dataclass(frozen=True)
class Experiment:
    question: str
    variants: Callable[[], Sequence[Variant]]


def text_length() -> Sequence[Variant]:
    return [Variant(f"{num} characters", _cut(LONG_TEXT, num)) for num in LENGTHS]


def speed() -> Sequence[Variant]:
    return [Variant(f"speed {each:g}", fields={"speed": each}) for each in SPEEDS]


def reference_length() -> Sequence[Variant]:
    return [
        Variant(
            f"{seconds:g} s of reference",
            fields={"reference_audio_b64": base64.b64encode(reading_of(seconds)).decode("ascii")},
            is_cold=True,
        )
        for seconds in REFERENCES_S
    ]


def engine() -> Sequence[Variant]:
    choices: Sequence[tuple[str, Mapping[str, object]]] = (
        ("float32", {"dtype": "float32", "quantization": "none"}),
        ("bfloat16", {"dtype": "bfloat16", "quantization": "none"}),
        ("int8", {"dtype": "auto", "quantization": "int8"}),
        ("pieces up to 0.5 s", {"max_chunk_s": 0.5}),
        ("4 slots", {"max_slots": 4}),
    )
    return [
        Variant(f"{name}, {num} at once", TEXT, settings, num_at_once=num)
        for name, settings in choices
        for num in (1, CROWD)
    ]


def device() -> Sequence[Variant]:
    import torch

    devices = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
    return [
        Variant(f"{name}, {num} characters", _cut(LONG_TEXT, num), {"device": name})
        for name in devices
        for num in LENGTHS
    ]


EXPERIMENTS: Mapping[str, Experiment] = {
    "text-length": Experiment("How long does a text of so many characters take?", text_length),
    "speed": Experiment("Does speed change what speech costs, or only how long it is?", speed),
    "reference-length": Experiment("How long must a reference be, and what does a new one cost?", reference_length),
    "engine": Experiment("What do number formats, pieces and slots change?", engine),
    "device": Experiment("What does a GPU change? Without one here, the CPU's half alone.", device),
}


def _cut(text: str, num_chars: int) -> str:
    """Whole words, a full stop at the end, `num_chars` at most."""
    if len(text) <= num_chars:
        return text
    return text[: text.rfind(" ", 0, num_chars)].rstrip(",. ") + "."
