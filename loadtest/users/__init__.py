"""Locust's users: they ask as `loadtest.workload` says, and hear as `loadtest.client` does. They run in Locust only."""
