"""What queueing theory says about the time that a request spends in a system, waiting and served."""

import math
from collections.abc import Callable

Survival = Callable[[float], float]  # P(T > t)


def m_d_1(rate_hz: float, service_s: float) -> Survival:
    """Poisson arrivals, one server, constant service (A. K. Erlang, 1909)."""
    load = rate_hz * service_s
    assert load < 1.0

    def survival(seconds: float) -> float:
        wait_s = seconds - service_s
        if wait_s < 0.0:
            return 1.0
        ages = (rate_hz * (wait_s - k * service_s) for k in range(int(wait_s / service_s) + 1))
        return 1.0 - (1.0 - load) * sum((-age) ** k / math.factorial(k) * math.exp(age) for k, age in enumerate(ages))

    return survival


def m_m_c(rate_hz: float, service_s: float, num_servers: int) -> Survival:
    """Poisson arrivals, exponential service: Erlang's C is the chance of a wait, which is itself exponential."""
    offered, rate_of_one_hz = rate_hz * service_s, 1.0 / service_s
    surplus_hz = num_servers * rate_of_one_hz - rate_hz
    assert surplus_hz > 0.0 and surplus_hz != rate_of_one_hz
    all_busy = offered**num_servers / math.factorial(num_servers) * num_servers / (num_servers - offered)
    waits = all_busy / (sum(offered**k / math.factorial(k) for k in range(num_servers)) + all_busy)

    def survival(seconds: float) -> float:
        served = math.exp(-rate_of_one_hz * seconds)
        both = surplus_hz * served - rate_of_one_hz * math.exp(-surplus_hz * seconds)
        return (1.0 - waits) * served + waits * both / (surplus_hz - rate_of_one_hz)

    return survival


def quantile(survival: Survival, share: float) -> float:
    """The time that `share` of all do not exceed, by bisection."""
    low, high = 0.0, 1.0
    while survival(high) > 1.0 - share:
        high *= 2.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if survival(middle) > 1.0 - share else (low, middle)
    return high
