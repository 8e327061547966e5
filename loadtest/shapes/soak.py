"""A third of the users for a long time."""

from loadtest.shapes.planned import PlannedShape
from loadtest.shapes.plans import Plan, soak


class Soak(PlannedShape):
    def plan(self, max_users: int, level_s: float) -> Plan:
        return soak(max_users, level_s)
