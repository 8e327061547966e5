"""The mixed traffic of a soak: what is asked, how its client behaves, and what it must get."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from loadtest.judgement import MayLeave, Must, MustBeReady, MustBeRefused, MustHear
from loadtest.misuse import all_misuses
from loadtest.recordings import new_recording
from loadtest.speech import Form, Speech
from loadtest.wire import POLITE, Call, Manners
from serve_app.bench.workload import texts_in

KNOWN_REFERENCES = 3
SPEEDS = (1.0, 1.0, 0.8, 1.25)
LONG_TEXT_SENTENCES = 10
SLOW_PAUSE_S = 0.03  # of a reader that takes 8 kB at most at a time: five times faster than speech is spoken
# Parts of the traffic.
WEIGHTS = {"known": 48, "new voice": 12, "leaves": 14, "slow": 3, "bad": 18, "probe": 5}


@dataclass(frozen=True)
class Planned:
    """One request to come."""

    kind: str
    call: Call
    must: Must
    manners: Manners = POLITE


@dataclass(frozen=True)
class Known:
    """A request whose answer alone is known."""

    speech: Speech
    digest: bytes

    @cached_property
    def call(self) -> Call:
        return self.speech.call()


def catalogue(languages: Collection[str], rng: Random) -> tuple[Speech, ...]:
    """Requests of all forms, in several languages, at several speeds, in named and cloned voices."""
    references = [new_recording(rng) for _ in range(KNOWN_REFERENCES)]
    texts = texts_in(languages)
    found = []
    for number in range(4 * len(texts)):
        language, text = texts[number % len(texts)]
        form = list(Form)[(number + number // len(texts)) % len(Form)]
        reference = references[number % KNOWN_REFERENCES] if form is Form.UPLOAD or number % 3 == 0 else None
        speed = SPEEDS[number // 2 % len(SPEEDS)]
        found.append(Speech(form, text, language, seed=number, reference=reference, speed=speed))
    return tuple(found)


def long_speech(languages: Collection[str]) -> Speech:
    """Half a minute and more: what slow readers and leavers listen to."""
    language, text = texts_in(languages)[0]
    return Speech(Form.PCM_STREAM, " ".join([text] * LONG_TEXT_SENTENCES), language, seed=1)


class Traffic:
    """An endless mix."""

    def __init__(self, known: Sequence[Known], long: Known, rng: Random) -> None:
        self._known, self._long, self._rng = known, long, rng
        self._languages = sorted({each.speech.language for each in known})

    def next(self) -> Planned:
        (kind,) = self._rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
        match kind:
            case "known":
                return self._heard(kind, self._rng.choice(self._known))
            case "new voice":
                return self.new_voice()
            case "leaves":
                return self._leaver()
            case "slow":
                return self._heard(kind, self._long, Manners(pause_s=SLOW_PAUSE_S))
            case "bad":
                misuse = self._rng.choice(all_misuses())
                return Planned(kind, misuse.call, MustBeRefused(misuse.status, misuse.code))
        return Planned(kind, Call("/health/ready", method="GET"), MustBeReady())

    def probe(self) -> Planned:
        """The same known request each time."""
        return self._heard("known", self._known[0])

    def new_voice(self) -> Planned:
        """A cloned voice that nobody has asked for."""
        language, text = self._rng.choice(texts_in(self._languages))
        form, seed = self._rng.choice(list(Form)), self._rng.getrandbits(40)
        speech = Speech(form, text, language, seed, reference=new_recording(self._rng))
        return Planned("new voice", speech.call(), MustHear(speech))

    def _heard(self, kind: str, known: Known, manners: Manners = POLITE) -> Planned:
        return Planned(kind, known.call, MustHear(known.speech, known.digest), manners)

    def _leaver(self) -> Planned:
        rng = self._rng
        call = self._long.call if rng.random() < 0.5 else rng.choice(self._known).call
        is_reset = rng.random() < 0.5
        manners = rng.choice(
            (
                Manners(leave_sent_bytes=rng.randrange(len(call.head()) + len(call.body)), is_reset=is_reset),
                Manners(leave_waited_s=rng.expovariate(10.0), is_reset=is_reset),
                Manners(leave_heard_bytes=rng.randrange(1, 400_000), is_reset=is_reset),
            )
        )
        return Planned("leaves", call, MayLeave(), manners)
