"""The bodies of requests and responses, named by route and direction.

Unknown fields are ignored, wrong types are not.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serve_app.speech.request import DEFAULT_VOICE, Guards, SamplingOptions, SpeechRequest, Turn
from serve_app.voices.entry import MAX_DESCRIPTION_CHARS, MAX_NAME_CHARS

Speed = Annotated[
    float,
    Field(ge=0.5, le=2.0, allow_inf_nan=False, description="tempo: the duration is divided by it, the pitch stays"),
]
Seed = Annotated[int, Field(ge=0, lt=2**63, description="the same seed gives the same speech; drawn when left out")]
Temperature = Annotated[float, Field(ge=0.05, le=2.0, allow_inf_nan=False, description="lower is steadier")]
TopK = Annotated[int, Field(ge=1, le=1_024, description="codes to choose among")]
TopP = Annotated[float, Field(ge=0.01, le=1.0, allow_inf_nan=False, description="likelihood to choose within")]
RepetitionPenalty = Annotated[
    float, Field(ge=1.0, le=20.0, allow_inf_nan=False, description="of codes that were chosen before; 1 is none")
]
Intensity = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False, description="of the emotion")]
Pronunciations = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=100)], Annotated[str, Field(max_length=400)]],
    Field(max_length=200),
]
Language = Annotated[str, Field(max_length=35)]  # the longest a language tag need be: RFC 5646, 4.4.1
AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
StreamFormat = Literal["audio", "sse"]
PauseSeconds = Annotated[float, Field(ge=0.0, le=10.0, allow_inf_nan=False, description="of silence before it")]
Name = Annotated[str, Field(max_length=200)]
VoiceName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]
Description = Annotated[str, Field(max_length=MAX_DESCRIPTION_CHARS)]
Recordings = Annotated[
    list[str], Field(min_length=1, max_length=5, description="recordings of one voice: files in base64")
]


class _RequestBody(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ModelField(_RequestBody):
    """Whose weights speak."""

    model: Name | None = Field(None, description="one of GET /v1/models; left out, or OpenAI's names: the default one")


class TurnFields(_RequestBody):
    """How one text is spoken, whichever route is asked."""

    text_format: Literal["text", "ssml"] = Field("text", description="ssml: a small part of it, see docs/api.md")
    speed: Speed = 1.0
    emotion: Name | None = Field(None, description="neutral, happy, sad, angry, or the name of a style")
    emotion_intensity: Intensity = 1.0
    pronunciations: Pronunciations = Field(
        default_factory=dict, description="words, and how to write them so that they are said right"
    )


class GuardsBody(_RequestBody):
    """Which guards against a model that loses its way are on."""

    ceiling: bool = Field(default=True, description="a sentence ends at the length that its text can have at most")
    loops: bool = Field(default=True, description="and where the same codes come over and over")
    retry: bool = Field(default=True, description="it is spoken anew, once, where nothing of it was heard")
    silence: bool = Field(default=True, description="silences over 0.7 s inside a sentence are cut short")


class SamplingFields(_RequestBody):
    """How codes are drawn, and what is done where that goes wrong. What is left out is the checkpoint's own."""

    seed: Seed | None = None
    temperature: Temperature | None = None
    top_k: TopK | None = None
    top_p: TopP | None = None
    repetition_penalty: RepetitionPenalty | None = None
    guards: GuardsBody = GuardsBody()

    @property
    def sampling(self) -> SamplingOptions:
        return SamplingOptions(self.temperature, self.top_k, self.top_p, self.repetition_penalty)

    @property
    def chosen_guards(self) -> Guards:
        return Guards(**self.guards.model_dump())

    def request_of(self, *turns: Turn, model: str | None, is_streaming: bool = True) -> SpeechRequest:
        return SpeechRequest(turns, self.seed, self.sampling, self.chosen_guards, is_streaming, model)


class SynthesizeBody(TurnFields, SamplingFields, ModelField):
    """POST /synthesize_base64."""

    text: str
    lang: Language | None = Field(
        None, description="defaults to ko, or to the model's first language; auto: the text's own"
    )
    speaker_id: Name = Field(DEFAULT_VOICE, description="a voice by name")
    speaker_wav_b64: str | None = Field(None, description="a recording of the voice to clone: a file in base64")
    captions: Literal["srt", "vtt"] | None = Field(None, description="captions to answer with: SubRip or WebVTT")


class SentenceResponse(BaseModel):
    """When one sentence is heard."""

    text: str = Field(description="as it was given to the model, spaces and punctuation made regular")
    start_s: float = Field(description="seconds from the start of the audio")
    end_s: float


class SynthesizeResponse(BaseModel):
    """The answer of POST /synthesize_base64."""

    audio_base64: str = Field(description="a WAV file: mono, 16 bit, at `sample_rate`")
    mime_type: str
    processing_time: float = Field(description="seconds from the request to this answer")
    sample_rate: int
    duration_s: float
    language: str = Field(description="that the text was read in")
    sentences: list[SentenceResponse]
    captions: str | None = Field(description="a file of the kind that was asked for")
    timings: dict[str, float] = Field(description="seconds per stage")
    warnings: list[str]
    seed: int


class SpeechBody(TurnFields, SamplingFields, ModelField):
    """POST /v1/audio/speech, in OpenAI's shape; `language`, `seed`, the sampling and `reference_audio_b64` are ours."""

    input: str
    voice: Name = DEFAULT_VOICE
    response_format: AudioFormat = Field(
        "mp3", description="24 kHz mono; opus is in an Ogg file; pcm is 16-bit little-endian samples alone"
    )
    stream_format: StreamFormat = Field("audio", description="sse: audio in base64 in server-sent events")
    language: Language | None = Field(
        None, description="defaults to en, or to the model's first language if it lacks English; auto: the text's own"
    )
    reference_audio_b64: str | None = Field(None, description="a recording of the voice to clone: a file in base64")


class TurnBody(TurnFields):
    """One turn of POST /v1/audio/dialogue."""

    text: str
    voice: Name | None = Field(None, description="by name; `default` where neither it nor `speaker_id` is given")
    speaker_id: Name | None = Field(None, description="another word for `voice`")
    language: Language | None = Field(None, description="defaults to the dialogue's")
    pause_s: PauseSeconds = 0.0
    reference_audio_b64: str | None = Field(None, description="a recording of the voice to clone: a file in base64")


class DialogueBody(SamplingFields, ModelField):
    """POST /v1/audio/dialogue."""

    turns: Annotated[list[TurnBody], Field(min_length=1, max_length=200)]
    language: Language | None = Field(None, description="of turns that name none; as for a single text")
    response_format: AudioFormat = "mp3"
    stream_format: StreamFormat = "audio"


class ErrorObject(BaseModel):
    """What went wrong, in OpenAI's shape."""

    code: str = Field(description="stable; the README lists them")
    message: str = Field(description="for a person; it ends with what to do")
    type: str
    param: str | None = Field(description="the field it is about")


class ErrorResponse(BaseModel):
    """Every answer that is no success."""

    error: ErrorObject


class HealthResponse(BaseModel):
    """GET /health and GET /health/ready."""

    status: Literal["ok", "unavailable"]
    device: str
    model: str
    supported_languages: list[str]
    voices: list[str]
    sample_rate: int
    notices: list[str]


class ModelResponse(BaseModel):
    """GET /v1/models/{name}, in OpenAI's shape; `languages` is ours."""

    id: str
    object: Literal["model"] = "model"
    created: Annotated[int, Field(description="OpenAI's field; when a checkpoint was made is not known")] = 0
    owned_by: str = "xtts-serve"
    languages: list[str]


class ModelsResponse(BaseModel):
    """GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[ModelResponse]


class VoiceBody(_RequestBody):
    """POST /v1/audio/voices, as JSON; a form has files `audio` in place of `audio_b64`."""

    name: VoiceName
    id: str | None = Field(
        None, max_length=64, description="what `voice` will name it by; made of the name if left out"
    )
    description: Description = ""
    consent: bool = Field(False, description="true: I have the right to use this voice")
    shared: bool = Field(False, description="where API keys are used: all of them may speak with it, not only this one")
    audio_b64: Recordings | None = None


class VoicePatchBody(_RequestBody):
    """PATCH /v1/audio/voices/{id}; what is left out stays."""

    name: VoiceName | None = None
    description: Description | None = None
    shared: bool | None = None


class StyleBody(_RequestBody):
    """PUT of a style, as JSON; a form has files `audio` in place of `audio_b64`."""

    description: Description = ""
    consent: bool = Field(False, description="true: I have the right to use this recording; for styles of all voices")
    audio_b64: str | Recordings | None = None


class VoiceResponse(BaseModel):
    """One voice, of the model or of a user."""

    id: str = Field(description="what `voice` names it by")
    name: str
    description: str
    licence: str = Field(description="of what the voice was learnt from; empty where the checkpoint does not say")
    kind: Literal["model", "custom"]
    created_at: str | None = Field(description="ISO 8601")
    speech_s: float | None = Field(description="seconds of speech in its recordings, as far as they are used")
    styles: list[str] = Field(description="its own, which `emotion` may name")
    warnings: list[str] = Field(description="what would make it better")
    shared: bool = Field(description="whether all API keys may use it")
    can_change: bool = Field(description="whether you may change and delete it")


class VoicesResponse(BaseModel):
    """GET /v1/audio/voices."""

    voices: list[VoiceResponse]
    warnings: list[str]


class StyleResponse(BaseModel):
    """One style."""

    id: str = Field(description="what `emotion` names it by")
    description: str
    created_at: str | None
    speech_s: float
    warnings: list[str]
    can_change: bool


class StylesResponse(BaseModel):
    """GET /v1/audio/styles and GET /v1/audio/voices/{id}/styles."""

    styles: list[StyleResponse]


def body_docs(body: type[BaseModel], **form_extras: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI's description of a body that a handler reads itself; `form_extras` are fields of its multipart form."""
    schema = body.model_json_schema()
    schema = _inlined(schema, schema.pop("$defs", {}))
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if form_extras:
        form = {**schema, "properties": {**schema["properties"], **form_extras}}
        content["multipart/form-data"] = {"schema": form}
    return {"requestBody": {"required": True, "content": content}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema without references, which would lead nowhere from inside an OpenAPI document."""
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = definitions[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else {}
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    return {key: _inlined(value, definitions) for key, value in {**found, **rest}.items()}
