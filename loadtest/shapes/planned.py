"""What the shapes have in common in Locust: a plan made from the options, and who takes part in a stage."""

from collections.abc import Sequence
from typing import Any, ClassVar

from locust import LoadTestShape

from loadtest.shapes.plans import Plan, Stage

LEAVERS = "LeavingUser"
SPAWN_RATE = 100.0  # users a second: as good as at once


class PlannedShape(LoadTestShape):
    """A subclass says how its plan follows from the most users and the seconds of a level."""

    abstract: ClassVar[bool] = True

    def plan(self, max_users: int, level_s: float) -> Plan:
        raise NotImplementedError

    def tick(self) -> tuple[int, float, Sequence[Any]] | None:
        environment = self.runner.environment
        options = environment.parsed_options
        stage = self.plan(options.shape_users, options.shape_seconds).stage_at(self.get_run_time())
        if stage is None:
            return None
        return stage.num_users, SPAWN_RATE, newcomers(environment.user_classes, stage)


def newcomers(classes: Sequence[Any], stage: Stage) -> Sequence[Any]:
    """Of which of `classes` users come that a stage adds; those who are there stay, and who came last goes first."""
    found = [each for each in classes if (each.__name__ == LEAVERS) == stage.has_leavers]
    return found or classes
