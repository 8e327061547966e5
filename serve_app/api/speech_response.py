"""A stream of speech as an HTTP response: an audio file, or events with audio in them."""

from collections.abc import AsyncGenerator
from typing import Any

from serve_app.api.events import MIME_TYPE, error_event, speech_events
from serve_app.api.streaming import StreamedResponse, encoded
from serve_app.audio.encoders import MIME_TYPES, encoder_for
from serve_app.speech.request import AudioChunk, SpeechRequest

AUDIO_DOCS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the audio as it is made, or events with the audio in them",
        "content": {name: {"schema": {"type": "string", "format": "binary"}} for name in (*MIME_TYPES, MIME_TYPE)},
    }
}


def speech_response(
    request: SpeechRequest,
    chunks: AsyncGenerator[AudioChunk],
    response_format: str,
    stream_format: str,
    sample_rate_hz: int,
) -> StreamedResponse:
    """`chunks` are begun: the first is here, so the status is 200."""
    encoder = encoder_for(response_format, sample_rate_hz)
    languages = ", ".join(dict.fromkeys(turn.language for turn in request.turns))
    headers = {"x-sample-rate": str(sample_rate_hz), "cache-control": "no-store", "content-language": languages}
    if stream_format == "sse":
        events = speech_events(chunks, encoder)
        return StreamedResponse(events, media_type=MIME_TYPE, headers=headers, last_words=error_event)
    return StreamedResponse(encoded(chunks, encoder), media_type=encoder.mime_type, headers=headers)
