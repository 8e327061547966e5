"""Listeners, and in the middle as many who hang up."""

from loadtest.shapes.planned import PlannedShape
from loadtest.shapes.plans import Plan, disconnect_storm


class DisconnectStorm(PlannedShape):
    def plan(self, max_users: int, level_s: float) -> Plan:
        return disconnect_storm(max_users, level_s)
