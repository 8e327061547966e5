"""Replicas and the nodes they run on: started, ready, draining, lost; and what is paid for."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from loadtest.planner.engine import EngineModel
from loadtest.planner.events import Events
from loadtest.planner.profile import Profile, StepTimes
from loadtest.planner.request import Ending, Request, Sentence

OnEnd = Callable[[Request, Ending], None]
SAMPLES_KEPT = 5  # of a replica's reports: Serve's look-back of five seconds, a report a second


class State(Enum):
    STARTING = auto()
    RUNNING = auto()
    DRAINING = auto()
    GONE = auto()


@dataclass(eq=False)
class Node:
    """A place for one replica. It is paid for from when it is asked for until it is given back."""

    asked_s: float
    ready_s: float
    given_back_s: float | None = None
    idle_since_s: float | None = None


class Replica:
    """A process with an engine. Requests count from when the router chose it until their last audio has left."""

    def __init__(
        self,
        profile: Profile,
        times: StepTimes,
        events: Events,
        node: Node,
        on_end: OnEnd,
        on_idle: Callable[["Replica"], None],
    ) -> None:
        self.node, self.state = node, State.STARTING
        self.requests: dict[Request, None] = {}  # in the order in which they came
        self.wanted_slots: deque[int] = deque(maxlen=SAMPLES_KEPT)
        self.waits_s: deque[float] = deque(maxlen=SAMPLES_KEPT)
        self.engine = EngineModel(profile, times, events, self._on_audio)
        self._profile, self._events = profile, events
        self._on_end, self._on_idle = on_end, on_idle
        self._encoder_free_s = 0.0

    def take(self, request: Request) -> None:
        """The router chose this one."""
        self.requests[request] = None
        self._events.at(self._events.now_s + self._profile.request_s, self._prepare, (request, request.num_losses))

    def report(self) -> None:
        """What the replica tells Serve's controller, each second."""
        self.wanted_slots.append(self.engine.num_wanted_slots)
        self.waits_s.append(self.engine.oldest_wait_s())

    def _prepare(self, asked: tuple[Request, int]) -> None:
        """The text is ready; the voice is next, one at a time."""
        request, profile, now_s = asked[0], self._profile, self._events.now_s
        if not self._is_here(*asked):
            return
        if not request.is_cold or profile.voice_s == 0.0:
            self._speak(asked)
            return
        request.is_cold = False  # the fleet keeps it
        if profile.does_voice_stall:
            self.engine.stall(profile.voice_s)
        self._encoder_free_s = max(self._encoder_free_s, now_s) + profile.voice_s
        self._events.at(self._encoder_free_s, self._speak, asked)

    def _speak(self, asked: tuple[Request, int]) -> None:
        if not self._is_here(*asked):
            return
        request = asked[0]
        for _ in range(min(request.num_sentences, self._profile.max_slots_per_request)):
            self._submit_next(request)

    def _is_here(self, request: Request, num_losses: int) -> bool:
        return request in self.requests and request.num_losses == num_losses

    def _submit_next(self, request: Request) -> None:
        """Its audio is wanted later by what is heard before it."""
        ahead = request.num_started - request.current
        sentence = Sentence(request, request.num_started, self._events.now_s + ahead * request.sentence_s)
        request.num_started += 1
        request.sentences.append(sentence)
        self.engine.submit(sentence)

    def _on_audio(self, sentence: Sentence, audio_s: float, is_last: bool) -> None:
        """Hands on what is the current sentence's; keeps what comes before its turn."""
        request, now_s = sentence.request, self._events.now_s
        if sentence.first_out_s < 0.0:
            sentence.first_out_s = now_s
        if sentence.index != request.current:
            sentence.unheard_s += audio_s
            sentence.is_over = is_last
            return
        request.hear(now_s, audio_s)
        while is_last:
            request.current += 1
            if request.num_started < request.num_sentences:
                self._submit_next(request)
            if request.current == request.num_sentences:
                self._finish(request)
                return
            following = request.sentences[request.current]
            if following.unheard_s:
                request.hear(now_s, following.unheard_s)
            is_last = following.is_over

    def _finish(self, request: Request) -> None:
        del self.requests[request]
        request.sentences.clear()  # they point back: without this only the garbage collector would free them
        is_late = request.is_streamed and request.first_s - request.sent_s > self._profile.first_audio_timeout_s
        self._on_end(request, Ending.LATE if is_late else Ending.OK)
        if self.state is State.DRAINING and not self.requests:
            self._on_idle(self)


@dataclass
class Fleet:
    """Keeps as many replicas as are asked for. `running` is the router's list."""

    profile: Profile
    events: Events
    on_end: OnEnd
    on_lost: Callable[[Request], None]
    node_start_s: float
    node_idle_s: float
    running: list[Replica] = field(default_factory=list)
    starting: list[Replica] = field(default_factory=list)
    draining: list[Replica] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)  # all there ever were
    target: int = 0

    def __post_init__(self) -> None:
        self._times = StepTimes(self.profile)
        self._idle_nodes: list[Node] = []
        self._has_no_new_nodes = False

    def begin(self, number: int) -> None:
        """So many that run already."""
        self.target = number
        for _ in range(number):
            node = Node(0.0, 0.0)
            self.nodes.append(node)
            replica = self._replica(node)
            replica.state = State.RUNNING
            self.running.append(replica)

    def aim(self, target: int) -> None:
        """More are started. Of fewer, those that still start go first, then the newest, as Serve chooses them."""
        self.target = target
        missing = target - len(self.running) - len(self.starting)
        for _ in range(missing):
            if not self._start():
                break
        for _ in range(-missing):
            if self.starting:
                replica = self.starting.pop()
                replica.state = State.GONE
                self._leave(replica.node)
            else:
                self._drain(self.running.pop())

    def lose(self, number: int, *, with_nodes: bool) -> None:
        """So many of the oldest die at once, and others are started in their places. A lost node is paid no more."""
        for _ in range(min(number, len(self.running))):
            replica = self.running.pop(0)
            replica.state = State.GONE
            replica.engine.stop()
            if with_nodes:
                replica.node.given_back_s = self.events.now_s
            else:
                self._leave(replica.node)
            lost, replica.requests = list(replica.requests), {}
            for request in lost:
                self.on_lost(request)
        self.aim(self.target)

    def forbid_new_nodes(self) -> None:
        """There is no capacity to be had: what is lost stays lost."""
        self._has_no_new_nodes = True

    def paid_s(self, until_s: float) -> float:
        """Node-seconds so far, those of nodes that still start included."""
        ends = (until_s if node.given_back_s is None else min(node.given_back_s, until_s) for node in self.nodes)
        return sum(max(0.0, end - node.asked_s) for node, end in zip(self.nodes, ends, strict=True))

    @property
    def num_paid(self) -> int:
        return sum(node.given_back_s is None for node in self.nodes)

    def _replica(self, node: Node) -> Replica:
        return Replica(self.profile, self._times, self.events, node, self.on_end, self._gone)

    def _start(self) -> bool:
        """On a node that idles, or a new one."""
        now_s = self.events.now_s
        if self._idle_nodes:
            node = self._idle_nodes.pop()
            node.idle_since_s = None
        elif self._has_no_new_nodes:
            return False
        else:
            node = Node(now_s, now_s + self.node_start_s)
            self.nodes.append(node)
        replica = self._replica(node)
        self.starting.append(replica)
        self.events.at(max(node.ready_s, now_s) + self.profile.load_s, self._ready, replica)
        return True

    def _ready(self, replica: Replica) -> None:
        if replica.state is State.STARTING:
            self.starting.remove(replica)
            replica.state = State.RUNNING
            self.running.append(replica)

    def _drain(self, replica: Replica) -> None:
        replica.state = State.DRAINING
        self.draining.append(replica)
        if not replica.requests:
            self._gone(replica)

    def _gone(self, replica: Replica) -> None:
        self.draining.remove(replica)
        replica.state = State.GONE
        self._leave(replica.node)

    def _leave(self, node: Node) -> None:
        """A node without a replica waits for another for a while."""
        now_s = self.events.now_s
        node.idle_since_s = now_s
        self._idle_nodes.append(node)
        self.events.at(max(node.ready_s, now_s) + self.node_idle_s, self._give_back, (node, now_s))

    def _give_back(self, idle: tuple[Node, float]) -> None:
        node, since_s = idle
        if node.idle_since_s == since_s:
            node.idle_since_s = None
            node.given_back_s = self.events.now_s
            self._idle_nodes.remove(node)
