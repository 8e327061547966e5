"""How many users there are after so many seconds. Standard library only."""

from collections.abc import Sequence
from dataclasses import dataclass, field

ENOUGH_MORE = 1.1  # a level that gets less than so much more than the best before it is past the knee


@dataclass(frozen=True)
class Stage:
    """So many users for so long. `has_leavers`: those that it adds to the stage before hang up."""

    num_users: int
    seconds: float
    has_leavers: bool = False


@dataclass(frozen=True)
class Plan:
    """Stages one after another."""

    stages: Sequence[Stage]

    def stage_at(self, elapsed_s: float) -> Stage | None:
        """None when it is over."""
        for stage in self.stages:
            elapsed_s -= stage.seconds
            if elapsed_s < 0.0:
                return stage
        return None


def steps(max_users: int, level_s: float, num_steps: int = 5) -> Plan:
    """As many more each time."""
    return Plan([Stage(max(1, round(max_users * step / num_steps)), level_s) for step in range(1, num_steps + 1)])


def spike(max_users: int, level_s: float) -> Plan:
    """A tenth, suddenly all, and a tenth again: does it recover?"""
    few = max(1, max_users // 10)
    return Plan([Stage(few, level_s), Stage(max_users, level_s / 2), Stage(few, level_s)])


def soak(max_users: int, level_s: float) -> Plan:
    """A third, for long: sixty levels' time."""
    return Plan([Stage(max(1, max_users // 3), 60.0 * level_s)])


def disconnect_storm(max_users: int, level_s: float) -> Plan:
    """Half of them listen; in the middle come as many who hang up, and go."""
    half = max(1, max_users // 2)
    return Plan([Stage(half, level_s), Stage(2 * half, level_s, has_leavers=True), Stage(half, level_s)])


@dataclass
class Ramp:
    """Doubles the users until throughput no longer follows: then the level before is the knee."""

    max_users: int
    level_s: float
    rates_hz: dict[int, float] = field(default_factory=dict)  # by users, of the levels that are over
    _num_users: int = 1
    _began_s: float = 0.0
    _num_before: int = 0

    def users_at(self, elapsed_s: float, num_done: int) -> int | None:
        """`num_done`: speeches so far. None when the knee is found, or `max_users` were not enough for one."""
        if elapsed_s - self._began_s < self.level_s:
            return self._num_users
        best_hz = max(self.rates_hz.values(), default=0.0)
        rate_hz = (num_done - self._num_before) / (elapsed_s - self._began_s)
        self.rates_hz[self._num_users] = rate_hz
        if rate_hz < ENOUGH_MORE * best_hz or 2 * self._num_users > self.max_users:
            return None
        self._num_users, self._began_s, self._num_before = 2 * self._num_users, elapsed_s, num_done
        return self._num_users

    @property
    def knee(self) -> int:
        """The fewest users that get nearly the best throughput of all levels."""
        best_hz = max(self.rates_hz.values())
        return next(users for users, rate_hz in self.rates_hz.items() if rate_hz * ENOUGH_MORE >= best_hz)
