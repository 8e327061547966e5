"""Where the time of a decode step goes, kernel by kernel, by PyTorch's profiler."""

from collections.abc import Iterator

import torch
from torch.profiler import ProfilerActivity, profile

from serve_app.engine.model_runner import ModelRunner
from serve_app.engine.sequence import Sequence

NUM_STEPS = 10
NUM_KERNELS = 14  # rows of the table
NAME_CHARS = 80


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def profile_table(runner: ModelRunner, sequences: tuple[Sequence, ...], device: torch.device) -> Iterator[str]:
    """Lines of Markdown: what takes longest, for each step; on a CPU operators instead of kernels."""
    for _ in range(3):
        runner.decode(sequences).wait()
    is_gpu = device.type == "cuda"
    kind = ProfilerActivity.CUDA if is_gpu else ProfilerActivity.CPU
    with profile(activities=[kind], acc_events=True) as profiler:
        for _ in range(NUM_STEPS):
            runner.decode(sequences).wait()
        synchronize(device)
    found = sorted(
        (
            (event.self_device_time_total if is_gpu else event.self_cpu_time_total, event.count, event.key)
            for event in profiler.key_averages()
            if not is_gpu or event.device_type.name == "CUDA"  # not the calls that launch them
        ),
        reverse=True,
    )
    total_us, num_calls = sum(each[0] for each in found), sum(each[1] for each in found)
    step = f"{len(sequences)} × {sequences[0].num_cached + 1}"
    yield f"\n{step}: {total_us / NUM_STEPS:.0f} µs in {num_calls / NUM_STEPS:.0f} kernels a step.\n"
    yield "| µs a step | times | kernel |\n| --- | --- | --- |"
    for microseconds, count, name in found[:NUM_KERNELS]:
        shown = name.replace("|", "/")[:NAME_CHARS]
        yield f"| {microseconds / NUM_STEPS:.1f} | {count / NUM_STEPS:.1f} | `{shown}` |"
