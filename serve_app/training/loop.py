"""The loop of every stage that learns: steps, losses reported now and then, and a checkpoint that it goes on from."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

DECAY_SHARE = 0.3  # of a stage's steps, the last, over which its learning rate falls
LEAST_RATE = 0.02  # of the learning rate, what is left at the end

Report = Callable[[str], None]
Stop = Callable[[int], tuple[bool, float]]  # step → whether all is over, and the share of the learning rate


class Learner(Protocol):
    """What learns: one step at a time, and all that the next step needs as a dict that torch can save."""

    def learn(self, step: int, share: float) -> dict[str, float]:
        """One step at this share of the learning rate; gives its losses by name."""

    def validate(self) -> dict[str, float]:
        """Losses on what is never learnt from, by name."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, saved: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Rhythm:
    """How often a loop does what, in steps and seconds. Validation is at a report; without a number there is none."""

    report_every: int = 50
    validate_every: int | None = None
    save_every_s: float = 240.0


@dataclass
class TrainingState:
    """What a loop goes on from. `history` has a row of losses for each report."""

    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


class TrainingLoop:
    """Resumes from `checkpoint_file` where there is one."""

    def __init__(self, learner: Learner, rhythm: Rhythm, checkpoint_file: Path) -> None:
        self._learner, self._rhythm, self._file = learner, rhythm, checkpoint_file
        self.state = TrainingState()
        self._reported_s = 0.0
        if checkpoint_file.is_file():
            saved: dict[str, Any] = torch.load(checkpoint_file, map_location="cpu", weights_only=True)
            learner.load_state_dict(saved)
            self.state = TrainingState(**saved["state"])

    def run(self, stop: Stop, report: Report) -> None:
        """Until `stop` says so; saves at the end, and now and then before."""
        state, rhythm = self.state, self._rhythm
        last_saved_s = self._reported_s = time.monotonic()
        since_report: list[dict[str, float]] = []
        while True:
            is_over, share = stop(state.step)
            if is_over:
                break
            since_report.append(self._learner.learn(state.step, share))
            state.step += 1
            if state.step % rhythm.report_every == 0:
                self._tell(since_report, report)
                since_report.clear()
                if self._reported_s - last_saved_s > rhythm.save_every_s:
                    self.save()
                    last_saved_s = self._reported_s
        if since_report:
            self._tell(since_report, report)
        self.save()

    def _tell(self, losses: list[dict[str, float]], report: Report) -> None:
        """A row of the history: the means of the losses since the last one."""
        state, every = self.state, self._rhythm.validate_every
        now_s = time.monotonic()
        state.seconds += now_s - self._reported_s
        self._reported_s = now_s
        names = dict.fromkeys(name for each in losses for name in each)
        row = {name: sum(each.get(name, 0.0) for each in losses) / len(losses) for name in names}
        if every is not None and state.step % every == 0:
            row |= {f"validation {name}": value for name, value in self._learner.validate().items()}
        state.history.append({"step": state.step, "seconds": state.seconds, **row})
        told = "  ".join(f"{name} {value:.3f}" for name, value in row.items())
        report(f"step {state.step} ({state.seconds:.0f} s)  {told}")

    def save(self) -> None:
        """Whole or not at all."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(".partial")
        torch.save({**self._learner.state_dict(), "state": asdict(self.state)}, partial)
        partial.replace(self._file)


def stopper(steps: int, minutes: float | None = None) -> Stop:
    """Stops after so many steps in all, or earlier, when the time is over; the learning rate falls before either."""
    started_s = time.monotonic()

    def stop(step: int) -> tuple[bool, float]:
        left = (steps - step) / max(1.0, DECAY_SHARE * steps)
        is_over = step >= steps
        if minutes is not None:
            elapsed = (time.monotonic() - started_s) / 60.0
            is_over = is_over or elapsed >= minutes
            left = min(left, (minutes - elapsed) / (DECAY_SHARE * minutes))
        return is_over, min(1.0, max(LEAST_RATE, left))

    return stop
