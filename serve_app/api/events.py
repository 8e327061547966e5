"""Speech as server-sent events, OpenAI's by name: audio in base64, and at the end what is known of the whole."""

import base64
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from serve_app.api.errors import error_object
from serve_app.audio.encoders import Encoder
from serve_app.errors import ServiceError
from serve_app.speech.request import AudioChunk, SpeechSummary

logger = logging.getLogger(__name__)

MIME_TYPE = "text/event-stream"


async def speech_events(chunks: AsyncIterator[AudioChunk], encoder: Encoder) -> AsyncGenerator[bytes]:
    """`speech.audio.delta` events, whose audio joined is one file of the encoder's format, and `speech.audio.done`."""
    head = encoder.start()
    async for chunk in chunks:
        if audio := head + encoder.encode(chunk.samples):
            yield _event(_delta(audio, chunk))
        head = b""
        if chunk.summary is not None:
            if audio := encoder.finish():
                yield _event(_delta(audio, chunk))
            yield _event(_done(chunk.summary))


def _delta(audio: bytes, chunk: AudioChunk) -> dict[str, Any]:
    return {
        "type": "speech.audio.delta",
        "audio": base64.b64encode(audio).decode("ascii"),
        "sentence_index": chunk.sentence_index,
        "turn_index": chunk.turn_index,
    }


def _done(summary: SpeechSummary) -> dict[str, Any]:
    return {
        "type": "speech.audio.done",
        "usage": usage(summary),
        "duration_s": summary.duration_s,
        "sentences": [
            {
                "index": index,
                "text": each.text,
                "start_s": each.start_s,
                "end_s": each.end_s,
                "turn_index": each.turn_index,
            }
            for index, each in enumerate(summary.sentences)
        ],
        "turns": [{"start_s": start_s, "end_s": end_s} for start_s, end_s in summary.turns],
        "seed": summary.seed,
        "warnings": list(summary.warnings),
    }


def usage(summary: SpeechSummary) -> dict[str, int]:
    """OpenAI's usage counts tokens: ours are the model's own, of text and of audio (21.5 a second)."""
    return {
        "input_tokens": summary.num_text_tokens,
        "output_tokens": summary.num_codes,
        "total_tokens": summary.num_text_tokens + summary.num_codes,
    }


def error_event(error: ServiceError) -> bytes:
    """The last event of a stream that failed: OpenAI's error object."""
    return _event({"type": "error", "error": error_object(error)})


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
