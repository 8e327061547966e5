"""Whether an answer is what its request must get. An answer that nothing explains is a fault."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from math import inf

from loadtest.speech import Speech
from loadtest.wire import Answer, End

REQUEST_ID = "x-request-id"


class Outcome(StrEnum):
    """What became of a request."""

    OK = "ok"  # bit for bit where the bits are known
    REFUSED = "refused"  # as bad input must be
    LEFT = "left"  # the client did
    BUSY = "429"  # with all that a 429 owes
    UNAVAILABLE = "503"  # with all that a 503 owes, around a kill
    CUT = "cut"  # visibly, around a kill
    FAULT = "fault"


@dataclass(frozen=True)
class MustHear:
    """All of its audio; `digest` is that of the same request alone, where it is known."""

    speech: Speech
    digest: bytes | None = None


@dataclass(frozen=True)
class MustBeRefused:
    status: int
    code: str


@dataclass(frozen=True)
class MayLeave:
    """Nothing is owed to a client that goes, but it must not be kept."""


@dataclass(frozen=True)
class MustBeReady:
    """A probe."""


Must = MustHear | MustBeRefused | MayLeave | MustBeReady


@dataclass(frozen=True)
class Judgement:
    """`why` explains a fault. `digest` is of the samples that were heard, where they were."""

    outcome: Outcome
    why: str = ""
    digest: bytes | None = None


@dataclass
class Disruptions:
    """When an engine was being killed and replaced: [start, end) of `time.monotonic`."""

    spans_s: list[tuple[float, float]] = field(default_factory=list)

    def begin(self, now_s: float) -> None:
        self.spans_s.append((now_s, inf))

    def end(self, now_s: float) -> None:
        self.spans_s[-1] = (self.spans_s[-1][0], now_s)

    def met(self, answer: Answer) -> bool:
        """Whether the exchange was under way in one of them."""
        return any(answer.sent_s < end_s and answer.ended_s >= start_s for start_s, end_s in self.spans_s)


def judge(must: Must, request_id: str, answer: Answer, *, is_disrupted: bool) -> Judgement:
    """`is_disrupted`: an engine was killed meanwhile, which explains some answers."""
    if answer.end is End.HUNG:
        return _fault(f"hung for {answer.seconds:.1f} s, status {answer.status}, {len(answer.body)} bytes")
    if isinstance(must, MayLeave):
        return Judgement(Outcome.LEFT)
    if answer.end is End.NO_ANSWER:
        return _fault("the connection was closed without an answer")
    if answer.headers.get(REQUEST_ID) != request_id:
        return _fault(f"asked as {request_id} and answered as {answer.headers.get(REQUEST_ID)}")
    if answer.end is End.CUT:
        return Judgement(Outcome.CUT) if is_disrupted else _fault(f"cut after {len(answer.body)} bytes")
    if answer.status in (429, 503):
        return _judge_later(must, answer, is_disrupted=is_disrupted)
    match must:
        case MustBeRefused(status, code):
            got = (answer.status, code_of(answer))
            return Judgement(Outcome.REFUSED) if got == (status, code) else _fault(f"{got} in place of {status, code}")
        case MustHear() if answer.status == 200:
            return _judge_audio(must, answer)
        case MustBeReady() if answer.status == 200:
            return Judgement(Outcome.OK)
    return _fault(f"status {answer.status}, {code_of(answer)}")


def owes_of_refusal(answer: Answer) -> str | None:
    """What a 429 or 503 lacks: its code, a message, or a time to come back in whole seconds."""
    code, error = {429: "overloaded", 503: "unavailable"}[answer.status], _error(answer)
    if error.get("code") != code or not error.get("message"):
        return f"status {answer.status} with code {error.get('code')!r}"
    retry_after = answer.headers.get("retry-after", "")
    return None if retry_after.isdecimal() and int(retry_after) >= 1 else f"Retry-After is {retry_after!r}"


def code_of(answer: Answer) -> str | None:
    code = _error(answer).get("code")
    return code if isinstance(code, str) else None


def _error(answer: Answer) -> Mapping[str, object]:
    said = answer.json()
    error = said.get("error") if isinstance(said, dict) else None
    return error if isinstance(error, dict) else {}


def _judge_later(must: Must, answer: Answer, *, is_disrupted: bool) -> Judgement:
    is_report = isinstance(must, MustBeReady) and _says_unready(answer)
    if not is_report and (lack := owes_of_refusal(answer)) is not None:
        return _fault(lack)
    if answer.status == 429:
        return Judgement(Outcome.BUSY)
    return Judgement(Outcome.UNAVAILABLE) if is_disrupted else _fault("503, and no engine was killed")


def _says_unready(answer: Answer) -> bool:
    """The health report with "unavailable" in it, which owes no error."""
    said = answer.json() if answer.status == 503 else None
    return isinstance(said, dict) and said.get("status") == "unavailable"


def _judge_audio(must: MustHear, answer: Answer) -> Judgement:
    samples = must.speech.samples(answer)
    if not samples or len(samples) % 2:
        return _fault(f"no audio in an answer of {len(answer.body)} bytes")
    digest = sha256(samples).digest()
    if must.digest is not None and digest != must.digest:
        return _fault(f"other audio than the same request alone: {len(samples) // 2} samples")
    return Judgement(Outcome.OK, digest=digest)


def _fault(why: str) -> Judgement:
    return Judgement(Outcome.FAULT, why)
