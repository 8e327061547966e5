"""Gauges that the engines of several models set in one process: what is exported is of all of them together."""

import threading
from collections.abc import Callable, Iterable

from serve_app import metrics
from serve_app.metrics import Metric, Metrics

# Models share the device: two of them have no more slots than one. Other gauges are the device's own.
TOGETHER: dict[Metric, Callable[[Iterable[float]], float]] = {
    metrics.SLOTS: max,
    metrics.OLDEST_WAIT: max,
    metrics.SLOTS_USED: sum,
    metrics.SENTENCES_WAITING: sum,
}


class SharedGauges:
    """Thread-safe."""

    def __init__(self, recorder: Metrics) -> None:
        self._recorder = recorder
        self._values: dict[Metric, dict[object, float]] = {metric: {} for metric in TOGETHER}
        self._lock = threading.Lock()

    def recorder_of(self, model: object) -> Metrics:
        """What the model's engine records with; `model` is anything that tells it from others."""
        return _OfOneModel(self, self._recorder, model)

    def set(self, model: object, metric: Metric, value: float) -> None:
        with self._lock:
            values = self._values[metric]
            values[model] = value
            self._recorder.set(metric, TOGETHER[metric](values.values()))

    def forget(self, model: object) -> None:
        """Its engine is closed."""
        with self._lock:
            for metric, values in self._values.items():
                if values.pop(model, None) is not None:
                    self._recorder.set(metric, TOGETHER[metric](values.values()) if values else 0.0)


class _OfOneModel(Metrics):
    def __init__(self, gauges: SharedGauges, recorder: Metrics, model: object) -> None:
        super().__init__(recorder.exporter)
        self._gauges, self._model = gauges, model

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        if metric in TOGETHER:
            self._gauges.set(self._model, metric, value)
        else:
            super().set(metric, value, **labels)
