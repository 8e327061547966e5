"""When requests come, and what they ask for: a curve of rates, Poisson arrivals along it, texts of random lengths."""

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serve_app.errors import SettingsError

Floats = npt.NDArray[np.float64]
DAY_S = 86_400.0


@dataclass(frozen=True)
class Curve:
    """Requests a second over time, straight between points. It begins at 0 and ends at its last point."""

    times_s: Floats  # [n] rising
    rates_hz: Floats  # [n]

    def __post_init__(self) -> None:
        times, rates = self.times_s, self.rates_hz
        if len(times) != len(rates) or len(times) < 2:
            raise SettingsError("a curve of traffic has two points at least: seconds and requests a second")
        if not (np.isfinite(times).all() and np.isfinite(rates).all() and (rates >= 0.0).all()):
            raise SettingsError("a curve of traffic has finite times, and rates that are not below 0")
        if times[0] != 0.0 or not (np.diff(times) >= 0.0).all() or times[-1] <= 0.0:
            raise SettingsError("a curve of traffic begins at 0 s, and its times rise")

    @property
    def duration_s(self) -> float:
        return float(self.times_s[-1])

    @property
    def peak_hz(self) -> float:
        return float(self.rates_hz.max())

    @property
    def mean_hz(self) -> float:
        return float(self._cumulated[-1]) / self.duration_s

    def rate_hz(self, time_s: float) -> float:
        return float(np.interp(time_s, self.times_s, self.rates_hz))

    def scaled(self, factor: float) -> "Curve":
        return Curve(self.times_s, self.rates_hz * factor)

    def scaled_from(self, time_s: float, factor: float) -> "Curve":
        """`factor` times as much from `time_s` on."""
        before, after = self.times_s < time_s, self.times_s > time_s
        rate = self.rate_hz(time_s)
        times = np.concatenate([self.times_s[before], [time_s, time_s], self.times_s[after]])
        rates = np.concatenate([self.rates_hz[before], [rate, rate * factor], self.rates_hz[after] * factor])
        return Curve(times, rates)

    @cached_property
    def _cumulated(self) -> Floats:
        """Requests expected until each point."""
        pieces = np.diff(self.times_s) * (self.rates_hz[1:] + self.rates_hz[:-1]) / 2.0
        return np.concatenate([[0.0], np.cumsum(pieces)])

    def arrivals_s(self, rng: np.random.Generator) -> Floats:
        """Times of a Poisson process with this rate, rising."""
        total = float(self._cumulated[-1])
        return self._at(np.sort(rng.random(rng.poisson(total))) * total)

    def _at(self, counts: Floats) -> Floats:
        """When so many requests are expected to have come: the root of a parabola on each piece."""
        index = np.clip(np.searchsorted(self._cumulated, counts, side="right") - 1, 0, len(self.times_s) - 2)
        left = counts - self._cumulated[index]
        start, span = self.rates_hz[index], self.times_s[index + 1] - self.times_s[index]
        slope = (self.rates_hz[index + 1] - start) / np.where(span > 0.0, span, 1.0)
        root = np.sqrt(np.maximum(start**2 + 2.0 * slope * left, 0.0))
        return np.asarray(self.times_s[index] + 2.0 * left / np.maximum(start + root, 1e-300))


def constant(rate_hz: float, duration_s: float) -> Curve:
    return Curve(np.array([0.0, duration_s]), np.array([rate_hz, rate_hz]))


def daily(mean_hz: float, peak_hz: float) -> Curve:
    """A day as a sine, its peak at 15:00, a point every ten minutes. The peak is at most twice the mean."""
    if not mean_hz <= peak_hz <= 2.0 * mean_hz:
        raise SettingsError("the peak of a daily sine lies between its mean and twice its mean")
    times = np.arange(0.0, DAY_S + 1.0, 600.0)
    return Curve(times, mean_hz + (peak_hz - mean_hz) * np.cos(2.0 * np.pi * (times - 54_000.0) / DAY_S))


def spike(base_hz: float, peak_hz: float, at_s: float, spike_s: float, duration_s: float) -> Curve:
    """`peak_hz` for `spike_s`, at once, in a traffic of `base_hz`."""
    if not 0.0 < at_s < at_s + spike_s < duration_s:
        raise SettingsError("a spike lies inside its traffic")
    times = [0.0, at_s, at_s, at_s + spike_s, at_s + spike_s, duration_s]
    return Curve(np.array(times), np.array([base_hz, base_hz, peak_hz, peak_hz, base_hz, base_hz]))


def load_curve(path: Path) -> Curve:
    """CSV of `seconds,requests_per_second`, or JSON: a list of such pairs. Raises `SettingsError`."""
    try:
        text = path.read_text(encoding="utf-8")
        pairs = json.loads(text) if path.suffix == ".json" else _csv_pairs(text)
        table = np.array(pairs, dtype=np.float64)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}. Give a file of traffic.") from None
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{path} holds no pairs of numbers ({error}). Write seconds,requests_per_second.") from None
    if table.ndim != 2 or table.shape[1] != 2:
        raise SettingsError(f"{path} holds no pairs of numbers. Write seconds,requests_per_second.")
    return Curve(table[:, 0], table[:, 1])


def _csv_pairs(text: str) -> list[Any]:
    rows = [row for row in csv.reader(text.splitlines()) if row]
    has_head = bool(rows) and not rows[0][0].strip().replace(".", "", 1).isdigit()
    return [[float(cell) for cell in row] for row in rows[has_head:]]
