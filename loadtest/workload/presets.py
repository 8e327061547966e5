"""Kinds of traffic by name: which texts, voices, formats and speeds, in which shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loadtest.workload.request import Format
from loadtest.workload.texts import Length


@dataclass(frozen=True)
class Preset:
    """Weights need not add up to anything; shares are of all requests, from 0 to 1."""

    lengths: Mapping[Length, float]
    formats: Mapping[Format, float]  # of streams
    speeds: Mapping[float, float] = field(default_factory=lambda: {1.0: 1.0})
    english_share: float = 0.5
    streaming_share: float = 1.0  # the others ask for all of the speech in one object
    cloned_share: float = 0.0  # bring a recording that the service has heard before
    cold_share: float = 0.0  # bring one that it has not
    num_recordings: int = 4  # that are brought again and again
    sampled_share: float = 0.05  # are compared with what they are alone, where the format is exact

    def __post_init__(self) -> None:
        shares = (self.english_share, self.streaming_share, self.cloned_share, self.cold_share, self.sampled_share)
        assert all(0.0 <= share <= 1.0 for share in shares) and self.cloned_share + self.cold_share <= 1.0
        assert self.num_recordings > 0


PRESETS = {
    # An assistant that speaks while people wait: short, streamed, in the house's own voice.
    "chat": Preset(
        lengths={Length.TURN: 6, Length.SENTENCE: 4},
        formats={Format.PCM: 5, Format.OPUS: 3, Format.WAV: 2},
        cloned_share=0.1,
    ),
    # A reader of articles and books: paragraphs, often as MP3, at the listener's speed.
    "narration": Preset(
        lengths={Length.SENTENCE: 2, Length.PARAGRAPH: 8},
        formats={Format.MP3: 6, Format.AAC: 2, Format.WAV: 2},
        speeds={1.0: 7, 1.25: 2, 0.8: 1},
        cloned_share=0.2,
    ),
    # Everybody at once, some with voices that nobody has sent before.
    "mixed": Preset(
        lengths={Length.TURN: 4, Length.SENTENCE: 4, Length.PARAGRAPH: 2},
        formats={Format.PCM: 3, Format.MP3: 3, Format.OPUS: 2, Format.WAV: 1, Format.AAC: 1},
        speeds={1.0: 8, 1.25: 1, 0.8: 1},
        streaming_share=0.85,
        cloned_share=0.25,
        cold_share=0.05,
    ),
}
