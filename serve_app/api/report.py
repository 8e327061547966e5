"""POST /synthesize_base64: the field report's route. A whole WAV file in base64, for clients that exist already."""

import asyncio
import base64
import time

from fastapi import APIRouter, Request

from serve_app.api.body import read_json
from serve_app.api.deps import ApiState, FactsDep, SpeakerDep, StateDep, choose_model
from serve_app.api.errors import fields_named
from serve_app.api.schemas import SentenceResponse, SynthesizeBody, SynthesizeResponse, body_docs
from serve_app.api.turns import check_speakable, check_text, choose_language, make_turns
from serve_app.api.voice_access import VoiceAccess, VoiceAccessDep
from serve_app.audio.encoders import encode_wav
from serve_app.audio.pcm import Samples
from serve_app.speech.request import ServiceStatus, SpeechRequest, SpeechSummary, collect
from serve_app.text.captions import srt, vtt
from serve_app.text.languages import default_language

router = APIRouter(tags=["speech"])

# The seam's words → this route's.
FIELD_NAMES = {
    "language": "lang",
    "reference": "speaker_wav_b64",
    "voice": "speaker_id",
}


@router.post("/synthesize_base64", openapi_extra=body_docs(SynthesizeBody))
async def synthesize(
    request: Request, state: StateDep, facts: FactsDep, speaker: SpeakerDep, access: VoiceAccessDep
) -> SynthesizeResponse:
    """The text as one WAV file in base64."""
    started_s = time.perf_counter()
    body = await read_json(request, SynthesizeBody)
    with fields_named(FIELD_NAMES):
        model, facts = await choose_model(body.model, state)
        speech_request = await _to_speech_request(body, state, model, facts, access)
        samples, summary = await collect(speaker.start(speech_request, facts.sample_rate_hz))
    encoding_started_s = time.perf_counter()
    audio_base64 = await asyncio.to_thread(_wav_base64, samples, facts.sample_rate_hz)
    now_s = time.perf_counter()
    return SynthesizeResponse(
        audio_base64=audio_base64,
        mime_type="audio/wav",
        processing_time=now_s - started_s,
        sample_rate=facts.sample_rate_hz,
        duration_s=summary.duration_s,
        language=speech_request.turns[0].language,
        sentences=[
            SentenceResponse(text=each.text, start_s=each.start_s, end_s=each.end_s) for each in summary.sentences
        ],
        captions=_captions(body, summary),
        timings={**summary.timings_s, "encoding": now_s - encoding_started_s},
        warnings=list(summary.warnings),
        seed=summary.seed,
    )


async def _to_speech_request(
    body: SynthesizeBody, state: ApiState, model: str | None, facts: ServiceStatus, access: VoiceAccess
) -> SpeechRequest:
    text = check_text(body.text, state.settings.max_text_chars, "text")
    default = default_language(facts.languages)
    language = await choose_language(body.lang, text, default, facts, text_format=body.text_format)
    reference = None
    if body.speaker_wav_b64 is not None:
        reference = await state.references.decode_base64(body.speaker_wav_b64, "speaker_wav_b64")
    turns = await make_turns(body, text, language, voice=body.speaker_id, reference=reference)
    return await check_speakable(body.request_of(*turns, model=model, is_streaming=False), facts, access)


def _captions(body: SynthesizeBody, summary: SpeechSummary) -> str | None:
    if body.captions is None:
        return None
    cues = [(each.text, each.start_s, each.end_s) for each in summary.sentences]
    return srt(cues) if body.captions == "srt" else vtt(cues)


def _wav_base64(samples: Samples, sample_rate_hz: int) -> str:
    return base64.b64encode(encode_wav(samples, sample_rate_hz)).decode("ascii")
