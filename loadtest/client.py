"""A listener: asks for one speech, times what it hears, and checks that it is whole, long enough and its own."""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from loadtest.heard import Ending, Heard
from loadtest.judgement import REQUEST_ID, code_of, owes_of_refusal
from loadtest.timeline import Hearing, Timeline, hearing, timeline
from loadtest.wire import Address, Answer, End, ask
from loadtest.workload.request import Format, Request, Way
from loadtest.workload.workload import Workload
from serve_app.errors import StartupError
from serve_app.text.languages import CODES_PER_S, expected_codes

MAX_SAMPLED = 200  # whose requests are kept to be asked again
SHORTEST, LONGEST = 0.25, 3.0  # of the length that a text is expected to take, at its speed
LENGTH_SLACK_S = 1.5  # either way: a short text may be mostly silence, or ramble


@dataclass
class Client:
    """Of the service at an address. `headers` go with each request."""

    address: Address
    deadline_s: float = 60.0  # of a request: beyond it, it hangs
    name: str = "load"  # of its requests, in the service's log
    headers: Mapping[str, str] = field(default_factory=dict)
    sampled: list[tuple[Request, Heard]] = field(default_factory=list)

    async def speak(self, request: Request, intended_s: float | None = None) -> Heard:
        """Sends at once, and never raises for what the service does. `intended_s`: when it was to be sent, now if None.

        An event loop's own clock is meant, by which `Due` goes too.
        """
        now_s = asyncio.get_running_loop().time()
        request_id = f"{self.name}-{request.number}"
        call = replace(request.call(), headers={**self.headers, REQUEST_ID: request_id})
        answer = await ask(self.address, call, self.deadline_s)
        heard = heard_in(request, answer, now_s if intended_s is None else intended_s, request_id)
        if heard.digest and len(self.sampled) < MAX_SAMPLED:
            self.sampled.append((request, heard))
        return heard

    async def warm_up(self, workload: Workload) -> None:
        """Each voice that the traffic knows speaks once. Raises `StartupError` where one does not."""
        text = workload.next().text
        for number, voice in enumerate(workload.known_voices):
            request = Request(-1 - number, text, voice, Way.STREAM, Format.PCM, speed=1.0, seed=number)
            heard = await self.speak(request)
            if not heard.is_ok:
                raise StartupError(f"the service did not answer a first request: {heard.outcome}, {heard.why}")

    async def differences(self) -> list[str]:
        """Asks all sampled requests again, one at a time: what sounds unlike what it was in the crowd.

        Means something only where the service is deterministic (`XTTS_DETERMINISTIC`).
        """
        sampled, self.sampled = self.sampled, []
        found = []
        for request, heard in sampled:
            alone = await self.speak(request)
            if alone.digest != heard.digest:
                said = alone.why or "other audio than in the crowd"
                found.append(f"request {request.number}, {request.form}, {request.text.language}: {said}")
        self.sampled = sampled
        return found


def heard_in(request: Request, answer: Answer, intended_s: float, request_id: str) -> Heard:
    """What `answer` is, as one to `request`."""
    file = audio_file(request, answer)
    line = timeline(request.format, file) if answer.status == 200 else Timeline((), is_whole=False)
    times = hearing(line, answer.reads) if request.is_stream else _at_the_end(answer, line)
    outcome, why = _outcome(request, answer, line, request_id)
    is_digested = request.is_sampled and outcome is Ending.OK
    return Heard(
        number=request.number,
        intended_s=intended_s,
        sent_s=answer.sent_s,
        first_audio_s=times.first_s,
        ended_s=answer.ended_s,
        outcome=outcome,
        status=answer.status,
        num_chars=len(request.text.text),
        language=request.text.language,
        form=request.form,
        is_stream=request.is_stream,
        is_cold=request.voice.is_cold,
        is_cloned=request.voice.recording is not None,
        speed=request.speed,
        audio_seconds=line.seconds,
        largest_gap_s=times.largest_gap_s,
        num_underruns=times.num_underruns,
        stalled_s=times.stalled_s,
        num_bytes=len(answer.body),
        is_whole=line.is_whole and answer.end is End.COMPLETE,
        why=why,
        digest=sha256(file).hexdigest() if is_digested else "",
    )


def audio_file(request: Request, answer: Answer) -> bytes:
    """The body, or what is in it; empty where there is none."""
    if request.way is not Way.WHOLE:
        return bytes(answer.body)
    said = answer.json()
    text = said.get("audio_base64") if isinstance(said, dict) else None
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except binascii.Error:
        return b""


def length_fault(request: Request, seconds: float) -> str:
    """Why speech of this length cannot be that of the text; empty where it can."""
    expected_s = expected_codes(request.text.text, request.text.language) / CODES_PER_S / request.speed
    if SHORTEST * expected_s - LENGTH_SLACK_S <= seconds <= LONGEST * expected_s + LENGTH_SLACK_S:
        return ""
    return f"{seconds:.1f} s of speech where about {expected_s:.1f} s were expected"


def _outcome(request: Request, answer: Answer, line: Timeline, request_id: str) -> tuple[Ending, str]:
    match answer.end:
        case End.CUT:
            return Ending.CUT, f"cut after {len(answer.body)} bytes"
        case End.NO_ANSWER:
            return Ending.ERROR, "the connection was closed or refused without an answer"
        case End.HUNG:
            return Ending.ERROR, f"hung for {answer.seconds:.1f} s, status {answer.status}, {len(answer.body)} bytes"
    if (answered := answer.headers.get(REQUEST_ID)) != request_id:
        return Ending.ERROR, f"asked as {request_id} and answered as {answered}"
    if answer.status in (429, 503):
        ending = Ending.BUSY if answer.status == 429 else Ending.UNAVAILABLE
        return (Ending.ERROR, lack) if (lack := owes_of_refusal(answer)) else (ending, "")
    if answer.status != 200:
        return Ending.ERROR, f"status {answer.status}, {code_of(answer)}"
    if not line.is_whole:
        return Ending.ERROR, f"no whole {request.format} in an answer of {len(answer.body)} bytes"
    fault = length_fault(request, line.seconds)
    return (Ending.ERROR, fault) if fault else (Ending.OK, "")


def _at_the_end(answer: Answer, line: Timeline) -> Hearing:
    """All at once: what is in JSON can be played when the last byte is there."""
    return Hearing(answer.reads[-1][0] if line.ends else None)
