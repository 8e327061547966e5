"""The real engine speaks, and everything that goes through its models is counted. No clock is read."""

import asyncio
import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
from torch import Tensor

from serve_app.engine.config import EngineConfig
from serve_app.engine.engine import Engine
from serve_app.engine.model_runner import ModelRunner
from serve_app.engine.sequence import Prompt, Sequence
from serve_app.engine.step_codes import PendingCodes
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.config import SAMPLE_RATE_HZ
from serve_app.model.gpt import Attend, Gpt
from serve_app.model.vocoder import Vocoder
from tests.engine.support import Spoken, make_runner, run, running, speak
from tests.guard.counting import Counts, counting


class GatedRunner(ModelRunner):
    """Begins when all who are to be there have come, so that counts do not depend on who came when."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.gate = threading.Event()

    def prefill(self, sequences: tuple[Sequence, ...]) -> PendingCodes:
        assert self.gate.wait(30.0)
        return super().prefill(sequences)


@dataclass
class Work:
    """What was done for some speech."""

    num_sentences: int
    num_codes: int = 0
    audio_s: float = 0.0
    pass_rows: list[int] = field(default_factory=list)  # of each pass through the GPT
    pass_windows: list[int] = field(default_factory=list)  # of each pass through the vocoder
    num_frames: int = 0  # through the vocoder
    num_waits: int = 0  # where they were asked for

    @property
    def num_rows(self) -> int:
        return sum(self.pass_rows)

    @property
    def num_windows(self) -> int:
        return sum(self.pass_windows)


class Watch:
    """Counts what all models of this process do while it is there."""

    def __init__(self, checkpoint: Checkpoint, patch: pytest.MonkeyPatch) -> None:
        self._checkpoint, self._work, self._counts_waits = checkpoint, Work(0), False
        hidden, vocode, step = Gpt.hidden, Vocoder.__call__, Engine._step

        def counted_hidden(gpt: Gpt, x: Tensor, attend: Attend) -> Tensor:
            self._work.pass_rows.append(x.shape[0])
            return hidden(gpt, x, attend)

        def counted_vocode(vocoder: Vocoder, frames: Tensor, speakers: Tensor) -> Tensor:
            self._work.pass_windows.append(frames.shape[0])
            self._work.num_frames += frames.shape[0] * frames.shape[2]
            return vocode(vocoder, frames, speakers)

        def counted_step(engine: Engine) -> None:
            with counting() if self._counts_waits else nullcontext(Counts()) as counts:
                step(engine)
            self._work.num_waits += counts.num_waits

        patch.setattr(Gpt, "hidden", counted_hidden)
        patch.setattr(Vocoder, "__call__", counted_vocode)
        patch.setattr(Engine, "_step", counted_step)

    def speak(
        self,
        prompts: list[Prompt],
        config: EngineConfig,
        kind: type[GatedRunner] = GatedRunner,
        *,
        counts_waits: bool = False,
    ) -> Work:
        """All of them at once, each asked for before the first is begun. To count waits takes a second or two."""
        self._counts_waits = counts_waits
        work = self._work = Work(len(prompts))
        runner = make_runner(self._checkpoint, config, kind=kind)
        assert isinstance(runner, GatedRunner)
        with running(self._checkpoint, config, runner=runner) as engine:
            spoken = run(speak_together(engine, runner, prompts))
        work.num_codes = sum(len(each.codes) for each in spoken)
        work.audio_s = sum(len(each.samples) for each in spoken) / SAMPLE_RATE_HZ
        return work


async def speak_together(engine: Engine, runner: GatedRunner, prompts: list[Prompt]) -> list[Spoken]:
    tasks = [asyncio.create_task(speak(engine, prompt)) for prompt in prompts]
    while engine.num_alive < len(prompts):  # noqa: ASYNC110  one turn of the loop each, and they are there
        await asyncio.sleep(0)
    runner.gate.set()
    return await asyncio.gather(*tasks)
