"""What is promised to listeners, and whether a stage kept it."""

from collections.abc import Iterator
from dataclasses import dataclass

from loadtest.capacity.summary import Summary

MAX_LAG_S = 0.05  # p99 of the generator: beyond it a stage measures the generator


@dataclass(frozen=True)
class Objective:
    """Bounds in seconds, of requests that were to be sent in a stage's window. A refusal is not service."""

    ttfa_p95_s: float = 0.5
    rtf_p95: float = 1.0
    not_served_share: float = 0.001

    def __str__(self) -> str:
        return (
            f"first audio p95 ≤ {1e3 * self.ttfa_p95_s:g} ms, RTF p95 < {self.rtf_p95:g}, "
            f"not served < {self.not_served_share:.1%}"
        )

    def misses(self, summary: Summary) -> list[str]:
        """Why it was not kept, in words; none where it was."""
        return list(self._misses(summary))

    def _misses(self, summary: Summary) -> Iterator[str]:
        if not summary.num_requests:
            yield "no request was sent"
            return
        ttfa_s, rtf = summary.ttfa_s.p95, summary.rtf.p95
        if ttfa_s is not None and ttfa_s > self.ttfa_p95_s:
            yield f"first audio p95 {1e3 * ttfa_s:.0f} ms"
        if rtf is not None and rtf >= self.rtf_p95:
            yield f"RTF p95 {rtf:.2f}"
        if summary.not_served_share >= self.not_served_share:
            yield f"{summary.not_served_share:.1%} of {summary.num_requests} not served"
        if summary.lag_p99_s > MAX_LAG_S:
            yield f"the generator itself was {1e3 * summary.lag_p99_s:.0f} ms late"
