"""One request and its sentences on their way through a replica, and what its listener hears.

The chunks and the vocoder's frames are those of `serve_app.engine`: a stream's chunk is due after so many codes, its
last frames wait for the next codes, and a window pays for context either side.
"""

from enum import Enum, auto
from math import floor

from loadtest.planner.profile import FRAME_S, FRAMES_PER_CODE
from serve_app.engine.config import WIDTH_STEP
from serve_app.engine.sequence import STREAMING_CHUNKS

CONTEXT_FRAMES = 14
UNSETTLED_FRAMES = 3  # at a prefix's end: the next code changes them
LAST_CHUNK = len(STREAMING_CHUNKS) - 1
BUFFER_S = 0.2  # a player begins so long after it got the first audio


class Ending(Enum):
    """What became of a request."""

    OK = auto()
    REFUSED = auto()  # 429 at once: the queue was full
    LATE = auto()  # 429 after `first_audio_timeout_s`
    LOST = auto()  # its replica died when some of it had been heard, or for the second time


class Sentence:
    """A sequence of the engine."""

    __slots__ = (
        "admitted_step",
        "chunk_index",
        "due_s",
        "first_out_s",
        "index",
        "is_complete",
        "is_due",
        "is_over",
        "next_codes",
        "num_codes",
        "num_out",
        "num_ready",
        "prefix_rows",
        "request",
        "unheard_s",
    )

    def __init__(self, request: "Request", index: int, due_s: float) -> None:
        self.request, self.index, self.due_s = request, index, due_s
        self.num_codes, self.prefix_rows = request.sentence_codes, request.prefix_rows
        self.admitted_step = 0
        self.chunk_index = 0
        self.next_codes = STREAMING_CHUNKS[0] if request.is_streamed else self.num_codes
        self.num_out = self.num_ready = 0  # frames
        self.is_complete = self.is_due = False
        self.is_over = False  # its last audio has left the engine
        self.first_out_s = -1.0
        self.unheard_s = 0.0  # made before its turn

    def grow(self, num_codes: int) -> None:
        """A chunk is due."""
        self.chunk_index = min(self.chunk_index + 1, LAST_CHUNK)
        self.next_codes = num_codes + STREAMING_CHUNKS[self.chunk_index]
        self.num_ready = floor(num_codes * FRAMES_PER_CODE) - UNSETTLED_FRAMES - CONTEXT_FRAMES

    def complete(self) -> None:
        """All codes are there."""
        self.is_complete = True
        self.num_ready = max(1, floor(self.num_codes * FRAMES_PER_CODE))

    @property
    def wanted_s(self) -> float:
        """When its next audio is wanted: its beginning when it is due, its rest when that runs dry."""
        if self.first_out_s < 0.0:
            return self.due_s
        return max(self.first_out_s, self.due_s) + self.num_out * FRAME_S

    def next_window(self, max_frames: int) -> tuple[int, int]:
        """Frames of the next window, context included, and the frame up to which it gives samples. See
        `serve_app.engine.audio_stream.AudioStream.next_window`, whose rules these are.
        """
        first = self.num_out
        end = self.num_ready if self.is_complete else self.num_ready + CONTEXT_FRAMES
        start = max(0, first - CONTEXT_FRAMES)
        stop = min(end, start + max_frames)
        width = -(-(stop - start) // WIDTH_STEP) * WIDTH_STEP
        if width <= stop:
            start = stop - width
        elif (shorter := stop - stop % WIDTH_STEP) - CONTEXT_FRAMES - first >= WIDTH_STEP:
            start, stop = 0, shorter
        return stop - start, self.num_ready if stop == end else stop - CONTEXT_FRAMES

    def hand_over(self, last: int) -> None:
        """A window up to frame `last` is made; a rest that is shorter than a step of widths goes with the next."""
        self.num_out = last
        left = self.num_ready - last
        self.is_due = left > 0 if self.is_complete else left >= WIDTH_STEP


class Request:
    """What is asked, what of it was heard, and how well."""

    __slots__ = (
        "current",
        "due_s",
        "ending",
        "first_s",
        "is_cold",
        "is_streamed",
        "last_s",
        "num_losses",
        "num_sentences",
        "num_started",
        "prefix_rows",
        "runs_out_s",
        "sent_s",
        "sentence_codes",
        "sentence_s",
        "sentences",
        "stalled_s",
    )

    def __init__(self, sent_s: float, shape: tuple[int, int, int], *, is_cold: bool, is_streamed: bool) -> None:
        """`shape`: sentences, and of each codes and rows of the prefix."""
        self.sent_s, self.is_cold, self.is_streamed = sent_s, is_cold, is_streamed
        self.num_sentences, self.sentence_codes, self.prefix_rows = shape
        self.sentence_s = floor(self.sentence_codes * FRAMES_PER_CODE) * FRAME_S
        self.ending: Ending | None = None
        self.num_losses = 0
        self.stalled_s = 0.0
        self.begin()

    def begin(self) -> None:
        """As sent: nothing is made yet."""
        self.sentences: list[Sentence] = []
        self.num_started = self.current = 0
        self.first_s = self.last_s = self.runs_out_s = -1.0

    @property
    def audio_s(self) -> float:
        return self.num_sentences * self.sentence_s

    @property
    def is_heard(self) -> bool:
        """Whether some of it has left the service."""
        return self.is_streamed and self.first_s >= 0.0

    def hear(self, now_s: float, audio_s: float) -> None:
        """More audio, in the text's order. A listener who has heard all there is waits."""
        self.last_s = now_s
        if self.first_s < 0.0:
            self.first_s, self.runs_out_s = now_s, now_s + BUFFER_S + audio_s
        elif now_s > self.runs_out_s:
            self.stalled_s += now_s - self.runs_out_s
            self.runs_out_s = now_s + audio_s
        else:
            self.runs_out_s += audio_s
