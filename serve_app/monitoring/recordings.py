"""The recording rules: what several alerts read, or one reads over days."""

from serve_app import metrics
from serve_app.monitoring.expressions import FAILED, NOT_PROBES, REFUSED, Source

FIRST_AUDIO_S = 1.0  # of the objective
BURN_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
LONG_BURN_WINDOWS = ("1h", "6h", "1d", "3d")

ASKED_5M, ASKED_10M = "xtts:requests:increase5m", "xtts:requests:increase10m"
FAILED_5M = "xtts:requests_failed:increase5m"
REFUSED_10M = "xtts:requests_refused:increase10m"
UNDERRUNS_10M = "xtts:underruns:increase10m"
HEARD_10M = "xtts:audio_seconds:increase10m"
SENTENCES_15M = "xtts:sentences:increase15m"
GUARDED_15M = "xtts:guards:increase15m"
OUT_OF_MEMORY_15M = "xtts:out_of_memory:increase15m"


def slow_share(window: str) -> str:
    """The recorded share of first audios that came later than `FIRST_AUDIO_S`."""
    return f"xtts:first_audio_slow:ratio_rate{window}"


def num_first_audios(window: str) -> str:
    """The recorded number of first audios."""
    return f"xtts:first_audio:increase{window}"


def recordings(source: Source) -> dict[str, str]:
    """Name → expression, of each service apart."""
    by = source.group
    grown = {
        ASKED_5M: source.growth(metrics.REQUESTS, "5m", NOT_PROBES, by=by),
        ASKED_10M: source.growth(metrics.REQUESTS, "10m", NOT_PROBES, by=by),
        FAILED_5M: source.growth(metrics.REQUESTS, "5m", *FAILED, by=by),
        REFUSED_10M: source.growth(metrics.REQUESTS, "10m", REFUSED, by=by),
        UNDERRUNS_10M: source.growth(metrics.UNDERRUNS, "10m", by=by),
        HEARD_10M: source.growth(metrics.AUDIO_SECONDS, "10m", by=by),
        SENTENCES_15M: source.growth(metrics.SENTENCES, "15m", by=by),
        GUARDED_15M: source.growth(metrics.GUARDS, "15m", by=by),
        OUT_OF_MEMORY_15M: source.growth(metrics.OUT_OF_MEMORY, "15m", by=by),
    }
    slow = {
        slow_share(window): source.share_above(FIRST_AUDIO_S, metrics.FIRST_AUDIO, window, by=by)
        for window in BURN_WINDOWS
    }
    first_audios = {
        num_first_audios(window): source.growth(metrics.FIRST_AUDIO, window, by=by, part="count")
        for window in LONG_BURN_WINDOWS
    }
    return {**grown, **slow, **first_audios}
