"""A speech service on a real engine with small weights, and what one hears of it."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from serve_app.audio.pcm import Samples
from serve_app.engine.config import EngineConfig
from serve_app.metrics import NOT_RECORDED, Metrics
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.tokenizer import Tokenizer
from serve_app.settings import Settings
from serve_app.speech.request import DEFAULT_VOICE, AudioChunk, SpeechRequest, SpeechSummary, VoiceChoice
from serve_app.speech.service import SpeechService
from serve_app.speech.voice_room import VoiceRoom
from serve_app.voices.catalogue import Catalogue
from serve_app.voices.reference import ReferenceTrimmer
from serve_app.voices.storage import Directory
from serve_app.voices.store import VoiceStore
from serve_app.voices.voice import VoiceLatents
from tests.engine.support import make_voice, running

# Long enough each that none is joined to its neighbour.
SENTENCES = (
    "The quick brown fox jumps over the dog.",
    "Seven wizards were quietly boxing.",
    "Nobody has ever counted these stones.",
    "A letter came from the north at noon.",
    "In the end they agreed to walk home.",
)
TEXT = " ".join(SENTENCES)
NOTICE = "made of noise"


@dataclass(frozen=True)
class Heard:
    """A whole stream."""

    chunks: list[AudioChunk]

    @property
    def samples(self) -> Samples:
        return np.concatenate([chunk.samples for chunk in self.chunks])

    @property
    def summary(self) -> SpeechSummary:
        summary = self.chunks[-1].summary
        assert summary is not None
        return summary

    def sentence(self, index: int) -> Samples:
        return np.concatenate([chunk.samples for chunk in self.chunks if chunk.sentence_index == index])


def with_fields(request: SpeechRequest, **fields: Any) -> SpeechRequest:
    """The request of one turn with other fields, be they its own, its turn's or its voice's name."""
    (turn,) = request.turns
    if "voice" in fields:
        turn = replace(turn, voice=VoiceChoice(((fields.pop("voice"), 1.0),)))
    of_turn = {name: fields.pop(name) for name in ("text", "language", "speed") if name in fields}
    return replace(request, turns=(replace(turn, **of_turn),), **fields)


async def hear(service: SpeechService, request: SpeechRequest) -> Heard:
    return Heard([chunk async for chunk in service.stream(request)])


def never_encode(samples: Samples, sample_rate_hz: int) -> VoiceLatents:
    raise AssertionError("no test here sends a reference")


@contextmanager
def serving(
    checkpoint: Checkpoint,
    directory: Path,
    config: EngineConfig | None = None,
    max_slots_per_request: int = 8,
    recorder: Metrics = NOT_RECORDED,
    max_chunk_s: float = 2.0,
) -> Generator[SpeechService]:
    """The service with two voices, `default` and `other`, and an engine in float32."""
    voices = {DEFAULT_VOICE: make_voice(checkpoint, 1), "other": make_voice(checkpoint, 2)}
    storage = Directory(directory)
    with running(checkpoint, config or EngineConfig(max_slots=8), recorder=recorder) as engine:
        yield SpeechService(
            Settings.model_validate({"max_slots_per_request": max_slots_per_request, "max_chunk_s": max_chunk_s}),
            checkpoint.config,
            Tokenizer(checkpoint.tokenizer_file, checkpoint.config.languages),
            engine,
            VoiceRoom(
                voices,
                VoiceStore(storage, 1, checkpoint.fingerprint, never_encode, ReferenceTrimmer()),
                Catalogue(storage, 10),
            ),
            device="cpu",
            notices=(NOTICE,),
            recorder=recorder,
        )
