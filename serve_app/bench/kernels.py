"""The parts of a step, each alone, beside what it could have been: why the engine is built as it is on a CPU."""

import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional

from serve_app.bench.coqui import build_coqui
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.config import GptConfig
from serve_app.model.linear import DenseLinear, Int8Linear, Linear, MakeLinear, PackedLinear
from serve_app.model.vocoder import Vocoder

REPEATS = 7
NUM_LAYERS = 6  # measured, and scaled to the model's: enough to overflow every cache
ROWS = (1, 4, 8, 16, 32)
LENGTHS = (128, 320)
WINDOW_FRAMES = 96
READ_BYTES = 400_000_000


def _median_s(work: Callable[[], object]) -> float:
    work()
    seconds = []
    for _ in range(REPEATS):
        start_s = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start_s)
    return statistics.median(seconds)


@torch.inference_mode()
def kernel_table(checkpoint: Checkpoint) -> Iterator[str]:
    """Lines of Markdown: memory speed, products, attention and vocoder, medians of seven runs."""
    block = torch.ones(READ_BYTES // 4)
    yield f"Memory reads: {READ_BYTES / 1e9 / _median_s(block.sum):.0f} GB/s."
    yield from _products(checkpoint.config.gpt)
    yield from _attention(checkpoint.config.gpt)
    yield from _vocoder(checkpoint)


def _products(gpt: GptConfig) -> Iterator[str]:
    shapes = (
        (3 * gpt.width, gpt.width),
        (gpt.width, gpt.width),
        (4 * gpt.width, gpt.width),
        (gpt.width, 4 * gpt.width),
    )
    weights = [[torch.randn(shape) * 0.02 for shape in shapes] for _ in range(NUM_LAYERS)]
    makers: dict[str, MakeLinear] = {
        "float32, PyTorch": lambda w, b, a: DenseLinear(w, b, a),
        "float32, packed": lambda w, b, a: PackedLinear(w, b, a, torch.float32),
        "bfloat16, PyTorch": lambda w, b, a: DenseLinear(w.bfloat16(), b if b is None else b.bfloat16(), a),
        "bfloat16, packed": lambda w, b, a: PackedLinear(w, b, a, torch.bfloat16),
        "int8, a scale per row": Int8Linear,
    }
    yield f"\n| products of a step, ms for {gpt.num_layers} layers, at rows | " + " | ".join(map(str, ROWS)) + " |"
    yield "| --- |" + " --- |" * len(ROWS)
    for name, make in makers.items():
        layers = [[make(weight, torch.zeros(weight.shape[0]), "none") for weight in layer] for layer in weights]
        cells = [f"{1e3 * gpt.num_layers / NUM_LAYERS * _median_s(_pass(layers, weights, rows)):.0f}" for rows in ROWS]
        yield f"| {name} | " + " | ".join(cells) + " |"


def _pass(layers: list[list[Linear]], weights: list[list[torch.Tensor]], rows: int) -> Callable[[], None]:
    inputs = [torch.randn(rows, weight.shape[1]) for weight in weights[0]]

    def work() -> None:
        for layer in layers:
            for linear, x in zip(layer, inputs, strict=True):
                linear(x)

    return work


def _attention(gpt: GptConfig) -> Iterator[str]:
    cases = [(rows, length) for rows in (1, 16) for length in LENGTHS]
    yield (
        f"\n| attention of a step, ms for {gpt.num_layers} layers | "
        + " | ".join(f"{rows} × {length}" for rows, length in cases)
        + " |"
    )
    yield "| --- |" + " --- |" * len(cases)
    for dtype in (torch.float32, torch.bfloat16):
        cells = []
        for rows, length in cases:
            shape = (NUM_LAYERS, rows, gpt.num_heads, gpt.max_positions, gpt.head_size)
            keys, values = torch.randn(shape).to(dtype), torch.randn(shape).to(dtype)
            query = torch.randn(1, gpt.num_heads, 1, gpt.head_size).to(dtype)
            seconds = _median_s(_attend(query, keys, values, length))
            cells.append(f"{1e3 * gpt.num_layers / NUM_LAYERS * seconds:.0f}")
        yield f"| {str(dtype).removeprefix('torch.')}, each sequence alone | " + " | ".join(cells) + " |"


def _attend(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, length: int) -> Callable[[], None]:
    def work() -> None:
        for layer_keys, layer_values in zip(keys, values, strict=True):
            for row in range(layer_keys.shape[0]):
                k, v = layer_keys[row : row + 1, :, :length], layer_values[row : row + 1, :, :length]
                functional.scaled_dot_product_attention(query, k, v)

    return work


def _vocoder(checkpoint: Checkpoint) -> Iterator[str]:
    config = checkpoint.config.vocoder
    frames, speaker = torch.randn(1, config.input_width, WINDOW_FRAMES), torch.randn(1, config.speaker_width)
    audio_s = WINDOW_FRAMES * config.hop_length / config.output_sample_rate_hz
    yield "\n| vocoder | s per s of audio |\n| --- | --- |"
    coqui = build_coqui(checkpoint).hifigan_decoder.waveform_decoder
    yield f"| coqui-tts, float32 | {_median_s(lambda: coqui(frames, g=speaker[:, :, None])) / audio_s:.3f} |"
    for dtype in (torch.float32, torch.bfloat16):
        ours = Vocoder(config, checkpoint.tensors, device=torch.device("cpu"), dtype=dtype)
        seconds = _median_s(lambda ours=ours: ours(frames, speaker))  # type: ignore[misc]
        yield f"| ours, {str(dtype).removeprefix('torch.')} | {seconds / audio_s:.3f} |"
