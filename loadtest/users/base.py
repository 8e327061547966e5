"""What every user does: draw a request, make it, report what was heard, think."""

import time
from dataclasses import replace
from random import Random
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from locust import User

from loadtest.client import heard_in
from loadtest.heard import Ending
from loadtest.judgement import REQUEST_ID
from loadtest.users.exchange import exchange
from loadtest.users.report import report
from loadtest.users.stage import NoService, Stage
from loadtest.wire import Answer, Call
from loadtest.workload.request import Request

NO_SERVICE_PAUSE_S = 1.0

_stages: "WeakKeyDictionary[Any, dict[str, Stage]]" = WeakKeyDictionary()


class SpeakingUser(User):
    """Has a workload of its own. Whoever is refused with a 429 comes back when the service says so."""

    abstract = True
    host = "http://127.0.0.1:8100"
    kind = ""  # in Locust's tables

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        stages = _stages.setdefault(environment, {})
        self.stage = stages.setdefault(self.host, Stage(environment, self.host))
        self.options = environment.parsed_options

    def on_start(self) -> None:
        """Waits for the service, however long it takes to come up."""
        while True:
            try:
                self.workload = self.stage.workload()
                break
            except NoService as error:
                self.environment.events.user_error.fire(user_instance=self, exception=error, tb=error.__traceback__)
                gevent.sleep(NO_SERVICE_PAUSE_S)
        self.rng = Random(self.workload.next().seed)

    def wait_time(self) -> float:
        return self.rng.expovariate(1.0 / self.options.think) if self.options.think > 0.0 else 0.0

    def speak(self, request: Request, call: Call | None = None) -> None:
        """Makes `call`, which asks for `request`, and reports it."""
        request_id = self.request_id()
        call = replace(call or request.call(), headers={REQUEST_ID: request_id})
        sent_s = time.monotonic()
        self.hear(request, exchange(self.host, self.stage.signed(call), self.options.deadline), sent_s, request_id)

    def hear(self, request: Request, answer: Answer, sent_s: float, request_id: str) -> None:
        heard = heard_in(request, answer, sent_s, request_id)
        report(self.environment, f"{self.kind}, new voice" if request.voice.is_cold else self.kind, heard)
        if heard.outcome in (Ending.BUSY, Ending.UNAVAILABLE):
            gevent.sleep(float(answer.headers["retry-after"]))

    def request_id(self) -> str:
        return f"locust-{self.rng.getrandbits(64):016x}"
