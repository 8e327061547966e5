"""What a GPU is measured by, on a CPU and small: that it runs, and that its floors are what the models do."""

import asyncio
import math
from collections.abc import AsyncGenerator

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from serve_app.bench import open_loop as open_loop_module
from serve_app.bench.gpu_profile import profile_table
from serve_app.bench.gpu_step import Sizes, gpu_table, ways_of
from serve_app.bench.open_loop import HEADER, open_loop, open_loop_table
from serve_app.bench.passes import running_sequences
from serve_app.bench.roofline import Ceilings, Floors, vocoder_operations
from serve_app.bench.worker import made_up_voice
from serve_app.cli import app
from serve_app.engine.config import EngineConfig
from serve_app.engine.sequence import SequenceOutput
from serve_app.errors import Overloaded
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.config import ModelConfig, VocoderConfig
from serve_app.model.gpt import Gpt
from serve_app.model.linear import DenseLinear
from serve_app.speech.engine_setup import build_runner
from tests.engine.reference import load
from tests.engine.support import BFLOAT16, CPU, FLOAT32, make_vocoder, running

CONFIG = EngineConfig(max_slots=4, max_window_batch=2)
SMALL = Sizes(
    steps=((1, 128), (4, 128)), prefixes=((1, 65), (2, 65)), windows=((1, 32), (2, 64)), references_s=(1,), repeats=2,
    copied_bytes=1 << 16, matrix_size=64, profiled=((2, 128), (5, 128)),
)  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load("synthetic:tiny")[0]


def test_every_part_is_measured_beside_its_floor(checkpoint: Checkpoint) -> None:
    ways = ways_of(CONFIG)
    assert [label for label, _ in ways] == ["eager", "graphs", "graphs, kernels"]
    assert ways[2][1].uses_cuda_graphs and ways[2][1].uses_fused_kernels and not ways[0][1].uses_cuda_graphs
    lines = list(gpu_table(checkpoint, FLOAT32, ways[:2], SMALL))
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("| ") and line[2].isdigit()]
    assert rows[:7] == ["1 × 128", "4 × 128", "1 × 65", "2 × 65", "1 × 32", "2 × 64", "1"]
    assert sum("Kernels, " in line for line in lines) == 2  # of both ways, and none of more rows than there are slots
    for line in lines[: lines.index("\nKernels, eager:")]:
        if line.startswith("| ") and line[2].isdigit():
            assert all(float(cell) > 0.0 or "0.0" in cell for cell in line.split("|")[2:-1]), line


def test_profile_names_what_takes_longest(checkpoint: Checkpoint) -> None:
    lines = list(
        profile_table(build_runner(checkpoint, FLOAT32, CONFIG), running_sequences(checkpoint.config.gpt, 2, 128), CPU)
    )
    assert "µs in" in lines[0]
    assert any("linear" in line or "mkldnn" in line for line in lines[2:])


def test_vocoders_floor_is_its_operations() -> None:
    """Counted by PyTorch, over a window so long that its ends do not count."""
    checkpoint = load("synthetic:tiny")[0]
    shapes, num_frames = checkpoint.config.vocoder, 64
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        make_vocoder(checkpoint)(torch.zeros(1, shapes.input_width, num_frames), torch.zeros(1, shapes.speaker_width))
    assert counter.get_total_flops() == pytest.approx(num_frames * vocoder_operations(shapes), rel=0.02)
    published = VocoderConfig()
    frame_rate_hz = published.output_sample_rate_hz / published.hop_length
    assert vocoder_operations(published) * frame_rate_hz == pytest.approx(58e9, rel=0.02)


def test_steps_floor_is_its_operations_or_its_bytes(checkpoint: Checkpoint) -> None:
    shapes = checkpoint.config.gpt
    slow_units = Floors(checkpoint.config, FLOAT32, Ceilings(math.inf, 1.0))
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        # no packing hides its products from the counter
        gpt = Gpt(shapes, checkpoint.tensors, device=CPU, make_linear=DenseLinear)
        gpt.hidden(torch.zeros(3, shapes.width), lambda layer, qkv: qkv[:, 0])
    head = 2 * 3 * shapes.num_audio_tokens * shapes.width
    assert slow_units.step_s(3, 0) - head == pytest.approx(counter.get_total_flops(), rel=1e-6)
    slow_memory = Floors(ModelConfig("xtts_v2"), BFLOAT16, Ceilings(1.0, math.inf))
    assert slow_memory.step_s(1, 0) == pytest.approx(0.76e9, rel=0.01)  # the published model's 378 M weights a step
    assert slow_memory.step_s(1, 100) - slow_memory.step_s(1, 0) == pytest.approx(100 * 2 * 123e3, rel=0.01)


def test_open_loop_hears_every_request(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_loop_module, "CHARS", (10, 40))  # short ones are soon over
    voice = made_up_voice(checkpoint)
    with running(checkpoint, EngineConfig(max_slots=4)) as engine:
        lines = list(open_loop_table(engine, voice, [3.0], 1.0))
        run = asyncio.run(open_loop(engine, voice, 4.0, 1.5))
    assert lines[:2] == list(HEADER)
    assert len(lines) == 3
    assert len(run.heard) >= 4
    for each in run.heard:
        assert not each.is_refused and each.ttfa_s > 0.0
        assert 10 / 15.0 * 0.8 < each.audio_s < 40 / 15.0 * 1.1
    assert run.line().startswith(f"| 4 | {len(run.heard)} | 0 | ")


class _Slow:
    """An engine whose second chunk comes late, and that refuses every other request."""

    num_asked = 0

    async def generate(self, prompt: object) -> AsyncGenerator[SequenceOutput]:
        self.num_asked += 1
        if self.num_asked % 2 == 0:
            raise Overloaded("full", retry_after_s=1.0)
        for pause_s in (0.02, 0.1, 0.0):
            await asyncio.sleep(pause_s)
            yield SequenceOutput(torch.zeros(1_200).numpy(), 1)  # 50 ms


def test_open_loop_tells_stalls_and_refusals(checkpoint: Checkpoint) -> None:
    run = asyncio.run(open_loop(_Slow(), made_up_voice(checkpoint), 30.0, 1.0))  # type: ignore[arg-type]
    refused = [each for each in run.heard if each.is_refused]
    answered = [each for each in run.heard if not each.is_refused]
    assert len(refused) == len(run.heard) // 2 > 5
    assert all(0.02 <= each.ttfa_s < 0.1 and 0.04 < each.stalled_s < 0.15 for each in answered)
    cells = [cell.strip() for cell in run.line().split("|")[1:-1]]
    assert cells[1:3] == [str(len(run.heard)), str(len(refused))]
    assert int(cells[6]) == len(answered)


@pytest.mark.parametrize(
    ("command", "option", "text"),
    [
        ("bench-open-loop", "--rates", "1,x"),
        ("bench-open-loop", "--rates", "0"),
        ("bench-open-loop", "--rates", "inf"),
        ("bench-gpu", "--profiled", "1x"),
        ("bench-gpu", "--profiled", "0x128,1x128"),
    ],
)
def test_wrong_numbers_are_told_at_once(command: str, option: str, text: str) -> None:
    outcome = CliRunner().invoke(app, [command, option, text])
    assert outcome.exit_code == 2
    assert "is no list of" in outcome.output
