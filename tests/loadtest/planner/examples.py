"""Profiles made of round numbers: no machine was measured for them."""

import json
from pathlib import Path
from typing import Any

from loadtest.planner.assumptions import load_model
from loadtest.planner.profile import Profile

FOLDER = Path(__file__).parent
CPU, GPU = FOLDER / "example_cpu.json", FOLDER / "example_gpu.json"
# Steps of any batch take as long; nothing else takes time.
PLAIN: dict[str, Any] = {
    "name": "example-plain",
    "measured": {"machine": "none", "version": "example", "date": "2026-11-28", "how": "written by hand"},
    "prefill_pass_s": 0.0,
    "prefill_row_s": 0.0,
    "vocoder_s_per_audio_s": 0.0,
    "request_s": 0.0,
    "voice_s": 0.0,
    "load_s": 10.0,
    "max_waiting": 64,
}


def example(path: Path = CPU) -> Profile:
    return load_model(Profile, path, "a profile")


def plain(slots: int, step_s: float = 0.01, **fields: Any) -> Profile:
    """Every step takes `step_s`, whatever runs in it."""
    steps = ({"batch": slots, "seconds": step_s},)
    return Profile.model_validate_json(json.dumps({**PLAIN, "slots": slots, "decode_steps": steps, **fields}))
