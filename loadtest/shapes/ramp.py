"""Twice as many users at each level, until throughput no longer follows: the knee."""

import logging

from locust import LoadTestShape

from loadtest.shapes.planned import SPAWN_RATE
from loadtest.shapes.plans import Ramp
from loadtest.users.report import SPEECH


class RampToKnee(LoadTestShape):
    _ramp: Ramp | None = None

    def reset_time(self) -> None:
        super().reset_time()
        self._ramp = None

    def tick(self) -> tuple[int, float] | None:
        options = self.runner.environment.parsed_options
        if self._ramp is None:
            self._ramp = Ramp(options.shape_users, options.shape_seconds)
        num_users = self._ramp.users_at(self.get_run_time(), self._num_spoken())
        if num_users is not None:
            return num_users, SPAWN_RATE
        for users, rate_hz in self._ramp.rates_hz.items():
            logging.info("%d users: %.2f speeches a second", users, rate_hz)
        logging.info("knee at %d users", self._ramp.knee)
        return None

    def _num_spoken(self) -> int:
        entries = self.runner.stats.entries.items()
        return sum(entry.num_requests - entry.num_failures for (_, kind), entry in entries if kind == SPEECH)
