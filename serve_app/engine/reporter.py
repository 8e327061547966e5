"""The engine's numbers on their way to the metrics, from its own thread."""

import time

from serve_app import metrics
from serve_app.engine.scheduler import Scheduler
from serve_app.engine.sequence import EngineStats, Status
from serve_app.metrics import Metrics
from serve_app.model.config import SAMPLE_RATE_HZ

PERIOD_S = 0.25  # between reports of what adds up; an exporter may take a few microseconds a number


class EngineReporter:
    def __init__(self, recorder: Metrics, scheduler: Scheduler, max_slots: int) -> None:
        self._metrics, self._scheduler, self._max_slots = recorder, scheduler, max_slots
        self._last = EngineStats()
        self._last_s = 0.0

    def step(self, before: EngineStats, after: EngineStats) -> None:
        """After each step, with the counters before and after it."""
        num_rows = after.num_decode_rows - before.num_decode_rows
        if num_rows:
            self._metrics.observe(metrics.BATCH_ROWS, num_rows)
        for phase, seconds in (
            ("prefill", after.prefill_s - before.prefill_s if after.num_prefills > before.num_prefills else 0.0),
            ("decode", after.decode_s - before.decode_s if num_rows else 0.0),
            ("render", after.render_s - before.render_s if after.num_samples > before.num_samples else 0.0),
        ):
            if seconds:
                self._metrics.observe(metrics.STEP_SECONDS, seconds, phase=phase)
        if time.monotonic() - self._last_s > PERIOD_S:
            self.report(after)

    def over(self, status: Status) -> None:
        """A sentence is over."""
        self._metrics.add(metrics.SENTENCES, outcome=status.name.lower())

    def report(self, stats: EngineStats) -> None:
        """What is now, and what was added since the last report."""
        now_s = time.monotonic()
        due_s = self._scheduler.oldest_due_s
        self._metrics.set(metrics.SLOTS, self._max_slots)
        self._metrics.set(metrics.SLOTS_USED, self._scheduler.num_running)
        self._metrics.set(metrics.SENTENCES_WAITING, self._scheduler.num_waiting)
        self._metrics.set(metrics.OLDEST_WAIT, 0.0 if due_s is None else max(0.0, now_s - due_s))
        self._metrics.add(metrics.CODES, stats.num_codes - self._last.num_codes)
        self._metrics.add(metrics.MADE_SECONDS, (stats.num_samples - self._last.num_samples) / SAMPLE_RATE_HZ)
        self._last, self._last_s = stats, now_s
