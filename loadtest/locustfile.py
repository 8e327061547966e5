"""Locust's users of the service: `locust -f loadtest/locustfile.py StreamingUser …` (docs/loadtest.md)."""

from loadtest.users import options  # noqa: F401 (registers the options)
from loadtest.users.speakers import CloningUser, DialogueUser, LeavingUser, OneShotUser, StreamingUser
from loadtest.users.websocket import WebSocketUser

__all__ = ["CloningUser", "DialogueUser", "LeavingUser", "OneShotUser", "StreamingUser", "WebSocketUser"]
