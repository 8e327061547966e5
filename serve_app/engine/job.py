"""What the engine has to do with a sequence beside its codes: its audio, its listener, its guards."""

import asyncio
from dataclasses import dataclass, field

from serve_app.engine.audio_stream import AudioStream
from serve_app.engine.loops import NUM_CODES_SEEN, is_looping
from serve_app.engine.sequence import FinishReason, Sequence, SequenceOutput
from serve_app.errors import ServiceError

LOOP_CHECK_CODES = 8  # between two looks for a loop


@dataclass(eq=False)
class Job:
    """A sequence, its audio and the one who waits for it."""

    sequence: Sequence
    stream: AudioStream
    loop: asyncio.AbstractEventLoop
    outputs: "asyncio.Queue[SequenceOutput | ServiceError]"
    codes: list[int] = field(default_factory=list)

    def put(self, item: SequenceOutput | ServiceError) -> None:
        """From the engine thread. A closed event loop has nobody waiting, and may close while we look."""
        try:
            self.loop.call_soon_threadsafe(self.outputs.put_nowait, item)
        except RuntimeError:
            if not self.loop.is_closed():
                raise

    def guard(self) -> FinishReason | None:
        """The reason to end a sequence that lost its way."""
        prompt, num_codes = self.sequence.prompt, self.sequence.num_codes
        if num_codes == prompt.max_codes:
            return FinishReason.CEILING
        if prompt.ends_loops and num_codes % LOOP_CHECK_CODES == 0 and is_looping(tuple(self.codes[-NUM_CODES_SEEN:])):
            return FinishReason.LOOP
        return None
