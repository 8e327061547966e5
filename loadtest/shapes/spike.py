"""A tenth of the users, suddenly all, and a tenth again."""

from loadtest.shapes.planned import PlannedShape
from loadtest.shapes.plans import Plan, spike


class Spike(PlannedShape):
    def plan(self, max_users: int, level_s: float) -> Plan:
        return spike(max_users, level_s)
