"""As many more users at each level."""

from loadtest.shapes.planned import PlannedShape
from loadtest.shapes.plans import Plan, steps


class Step(PlannedShape):
    def plan(self, max_users: int, level_s: float) -> Plan:
        return steps(max_users, level_s)
