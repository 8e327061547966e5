"""Shapes of load for Locust: how many users there are as time goes by. Each shape's file is given to Locust by `-f`,
beside the users' (docs/loadtest.md). The plans themselves know nothing of Locust.
"""
