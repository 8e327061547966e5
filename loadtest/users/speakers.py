"""Users over HTTP: one speech at once, a stream, a dialogue, a voice of one's own, and those who hang up."""

import json
from dataclasses import replace
from random import Random

from locust import task

from loadtest.judgement import REQUEST_ID, code_of
from loadtest.speech import multipart
from loadtest.users.base import SpeakingUser
from loadtest.users.exchange import exchange
from loadtest.wire import Answer, Call, End
from loadtest.workload.request import Format, Voice, Way
from loadtest.workload.texts import Length, TextMix

DIALOGUE_ROUTE, VOICES_ROUTE = "/v1/audio/dialogue", "/v1/audio/voices"
DIALOGUE_TURNS = (2, 5)
MAX_HEARD_BYTES = 60_000  # before a leaver has had enough
VOICE_MADE, VOICE_GONE, LEFT = "voice made", "voice gone", "left"


class VoiceFailed(Exception):
    """A voice was not made or not deleted; the message is the answer."""


class OneShotUser(SpeakingUser):
    """All of the speech in one object."""

    kind, weight = "whole", 2

    @task
    def ask(self) -> None:
        self.speak(replace(self.workload.next(), way=Way.WHOLE, format=Format.WAV))


class StreamingUser(SpeakingUser):
    """Listens while it is spoken."""

    kind, weight = "stream", 6

    @task
    def ask(self) -> None:
        request = self.workload.next()
        self.speak(replace(request, way=Way.STREAM) if request.way is Way.WHOLE else request)


class DialogueUser(SpeakingUser):
    """Has a few turns read, as one stream."""

    kind, weight = "dialogue", 1

    @task
    def ask(self) -> None:
        request = replace(self.workload.next(), way=Way.STREAM)
        turns = _turns(request.text.language, self.rng)
        voices = [each.name for each in self.workload.known_voices if each.recording is None]
        spoken = [{"text": turn, "voice": self.rng.choice(voices), "speed": request.speed} for turn in turns]
        whole = {"response_format": request.format.value, "language": request.text.language, "seed": request.seed}
        text = replace(request.text, text=" ".join(turns))
        call = Call(DIALOGUE_ROUTE, json.dumps({"turns": spoken, **whole}, ensure_ascii=False).encode())
        self.speak(replace(request, text=text, voice=Voice()), call)


class CloningUser(SpeakingUser):
    """Makes a voice, has it speak, and takes it away again. Needs a service that keeps voices."""

    kind, weight = "cloned", 1

    @task
    def ask(self) -> None:
        name = f"locust-{self.rng.getrandbits(48):012x}"
        fields: dict[str, object] = {"name": name, "id": name, "consent": "true"}
        made = self.stage.ask(multipart(VOICES_ROUTE, fields, ("audio", self.stage.recorder(self.rng))))
        self._report(VOICE_MADE, made, status=201)
        if made.status != 201:
            return
        try:
            self.speak(replace(self.workload.next(), voice=Voice(name), way=Way.STREAM))
        finally:
            gone = self.stage.ask(Call(f"{VOICES_ROUTE}/{name}", method="DELETE"))
            self._report(VOICE_GONE, gone, status=204)

    def _report(self, what: str, answer: Answer, status: int) -> None:
        is_ok = answer.status == status and answer.end is End.COMPLETE
        self.environment.events.request.fire(
            request_type=what,
            name=self.kind,
            response_time=1e3 * answer.seconds,
            response_length=len(answer.body),
            exception=None if is_ok else VoiceFailed(f"{answer.end}, status {answer.status}, {code_of(answer)}"),
            context={},
        )


class LeavingUser(SpeakingUser):
    """Asks for much and hangs up in the middle, without a goodbye."""

    kind, weight = "leaving", 1

    @task
    def ask(self) -> None:
        request = self.workload.next(num_chars=1_000)
        request = replace(request, way=Way.STREAM, format=Format.PCM, voice=Voice())
        request_id = self.request_id()
        call = self.stage.signed(replace(request.call(), headers={REQUEST_ID: request_id}))
        answer = exchange(self.host, call, self.options.deadline, self.rng.randrange(1, MAX_HEARD_BYTES))
        if answer.end is not End.LEFT:
            self.hear(request, answer, answer.sent_s, request_id)
            return
        self.environment.events.request.fire(
            request_type=LEFT,
            name=self.kind,
            response_time=1e3 * answer.seconds,
            response_length=len(answer.body),
            exception=None,
            context={},
        )


def _turns(language: str, rng: Random) -> list[str]:
    mix = TextMix((language,), {Length.TURN: 1})
    return [mix.draw(rng).text for _ in range(rng.randint(*DIALOGUE_TURNS))]
