"""What all users of a worker share: the service's address and languages, and a recording to clone."""

import base64
import binascii
import json
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from gevent.lock import RLock

from loadtest.speech import REPORT_ROUTE
from loadtest.users.exchange import exchange
from loadtest.wire import Answer, Call, End
from loadtest.workload.presets import PRESETS
from loadtest.workload.recording import Recorder
from loadtest.workload.texts import corpora
from loadtest.workload.workload import Workload

USERS_OF_A_WORKER = 1_000_000  # more than there are, so that no two users of any workers draw the same
RECORDED_SENTENCES = 3


class NoService(Exception):
    """It does not answer, or not as it must; the message says what it did."""


@dataclass(frozen=True)
class Facts:
    languages: tuple[str, ...]
    recorder: Recorder


class Stage:
    """Of one run of Locust in one process."""

    def __init__(self, environment: Any, url: str) -> None:
        self._environment, self._options, self._url = environment, environment.parsed_options, url
        self._lock, self._facts, self._numbers = RLock(), None, count()  # type: tuple[RLock, Facts | None, count[int]]

    def workload(self) -> Workload:
        """Another one each time, the same ones in every run with as many workers. Raises `NoService`."""
        facts, options = self._known(), self._options
        worker = getattr(self._environment.runner, "worker_index", 0)
        number = USERS_OF_A_WORKER * max(0, worker) + next(self._numbers)
        seed = options.traffic_seed * USERS_OF_A_WORKER**2 + number
        named = [each.strip() for each in options.voices.split(",")]
        return Workload(PRESETS[options.preset], seed, facts.languages, facts.recorder, named)

    @property
    def recorder(self) -> Recorder:
        return self._known().recorder

    def ask(self, call: Call) -> Answer:
        """As a user with the API key, where there is one."""
        return exchange(self._url, self.signed(call), self._options.deadline)

    def signed(self, call: Call) -> Call:
        key = self._options.api_key
        headers = {**call.headers, "authorization": f"Bearer {key}"} if key else call.headers
        return Call(call.path, call.body, call.content_type, call.method, headers)

    def _known(self) -> Facts:
        with self._lock:  # users start together
            if self._facts is None:
                languages = self._languages()
                path = self._options.recording
                file = Path(path).read_bytes() if path else self._recording(languages)
                self._facts = Facts(languages, Recorder(file))
            return self._facts

    def _languages(self) -> tuple[str, ...]:
        said = self._asked(Call("/health", method="GET"))
        return tuple(said["supported_languages"])

    def _recording(self, languages: tuple[str, ...]) -> bytes:
        """The service's own voice, which is also what most models clone best."""
        language = next(language for language in corpora() if language in languages)
        text = " ".join(corpora()[language].story[:RECORDED_SENTENCES])
        said = self._asked(Call(REPORT_ROUTE, json.dumps({"text": text, "lang": language, "seed": 1}).encode()))
        try:
            return base64.b64decode(said["audio_base64"], validate=True)
        except (KeyError, binascii.Error) as error:
            raise NoService("the service speaks, but sends no audio") from error

    def _asked(self, call: Call) -> Any:
        answer = self.ask(call)
        if answer.end is not End.COMPLETE or answer.status != 200 or not isinstance(said := answer.json(), dict):
            raise NoService(f"{self._url}{call.path}: {answer.end}, status {answer.status}")
        return said
