"""What a fleet costs, and from which traffic on one kind of machine is cheaper than another."""

from dataclasses import dataclass
from math import ceil

from loadtest.planner.outcome import Outcome

HOUR_S, DAY_S = 3_600.0, 86_400.0
MAX_REPLICAS = 10_000


def cost(outcome: Outcome, price_per_hour: float) -> float:
    """Of the run: node-hours by their price."""
    return outcome.paid_s / HOUR_S * price_per_hour


def cost_per_audio_hour(outcome: Outcome, price_per_hour: float) -> float:
    """NaN where nothing was spoken."""
    return cost(outcome, price_per_hour) / (outcome.audio_s / HOUR_S) if outcome.audio_s else float("nan")


def requests_a_day(rate_hz: float) -> float:
    return rate_hz * DAY_S


@dataclass(frozen=True)
class Offer:
    """A kind of machine: what one carries within the objective, and its price."""

    name: str
    highest_rate_hz: float
    price_per_hour: float

    def fleet_price(self, rate_hz: float) -> float:
        """An hour of as many as the rate needs, one at least. What larger fleets gain by sharing is left out."""
        return max(1, ceil(rate_hz / self.highest_rate_hz - 1e-9)) * self.price_per_hour


@dataclass(frozen=True)
class BreakEven:
    """From `rate_hz` on, and never again below it, `cheaper` costs less or the same; below, `other` is cheaper at times
    or always. 0: at any traffic. None: their prices cross for ever, since a request costs the same on both.
    """

    cheaper: Offer
    other: Offer
    rate_hz: float | None


def break_even(one: Offer, other: Offer) -> BreakEven:
    """The larger fleet decides which is cheaper; the break-even is the last rate at which it is not. Both offers carry
    something (`highest_rate_hz` > 0).
    """
    cheaper, dearer = sorted((one, other), key=lambda offer: offer.price_per_hour / offer.highest_rate_hz)
    gain = dearer.price_per_hour / dearer.highest_rate_hz - cheaper.price_per_hour / cheaper.highest_rate_hz
    if gain <= 0.0:
        return BreakEven(cheaper, dearer, None)
    last_hz = cheaper.price_per_hour / gain  # beyond, a whole machine too many is paid for by the gain
    number = min(MAX_REPLICAS, ceil(last_hz / dearer.highest_rate_hz))
    # Between two sizes of the dearer fleet its price stands still, and that of the other rises: the ends decide.
    for count in range(number, 0, -1):
        rate_hz = count * dearer.highest_rate_hz
        if cheaper.fleet_price(rate_hz) > dearer.fleet_price(rate_hz):
            return BreakEven(cheaper, dearer, rate_hz)
    return BreakEven(cheaper, dearer, 0.0)
