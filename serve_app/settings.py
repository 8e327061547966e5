"""Every option of the service, its default and its meaning. Nothing else reads the environment.

An option is set by the variable `XTTS_` + its name in capitals, by a CLI option, or by an argument of `build_app`.
"""

import difflib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from serve_app.errors import SettingsError

MEBIBYTE = 1024 * 1024
PREFIX = "XTTS_"
CPU_SLOTS, GPU_SLOTS = 16, 64
# What Kubernetes puts into each pod for a Service whose name begins with xtts ("service links").
SERVICE_LINK = re.compile(r".*_SERVICE_(HOST|PORT)(_.*)?|.*_PORT_\d+_(TCP|UDP|SCTP)(_.*)?")
BUCKET = re.compile(r"(s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?")
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
MAX_EXTRA_MODELS = 100
SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://.*")  # the value of a link that ends in _PORT alone


class Settings(BaseSettings):
    """Frozen. An unknown key in the constructor is an error, and so is an unknown variable with our prefix."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, protected_namespaces=(), hide_input_in_errors=True
    )

    model: str = Field(
        "mini",
        description="mini (comes along), xtts_v2, a directory in coqui's layout, or synthetic:tiny, :full (noise)",
    )
    extra_models: Annotated[dict[str, str], NoDecode] = Field(
        {},
        description="further models that requests may name, as NAME=MODEL,NAME=MODEL or a JSON object: docs/models.md",
    )
    max_model_bytes: int = Field(
        0, ge=0, description="memory of loaded models together, where there are several; 0: 70 % of the device's"
    )
    accept_cpml: bool = Field(
        False, description="accept the Coqui Public Model License, without which xtts_v2 is not downloaded"
    )
    model_cache: Path = Field(Path("~/.cache/xtts-serve/models"), description="where a downloaded checkpoint is kept")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes CUDA where there is a GPU")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="auto: bfloat16 where the processor computes in it, else float32; float16 on GPUs without it",
    )
    quantization: Literal["none", "int8"] = Field(
        "none", description="int8: the GPT's matrices in 8 bit, rounded per output channel; CPU only"
    )
    num_threads: int = Field(0, ge=0, description="CPU threads of the engine; 0 takes all cores it may use")

    host: str = Field(
        "127.0.0.1", description="address that `serve` listens on; on a cluster Ray Serve's own options count"
    )
    port: int = Field(8100, ge=0, le=65535, description="HTTP port of `serve`; 0 lets the system choose")

    api_keys_file: Path | None = Field(
        None, description="hashes of the API keys that are let in, one a line; left out: everyone is let in"
    )
    allowed_origins: str = Field(
        "",
        description="without API keys: origins of web pages that may open a WebSocket besides the service's own, with "
        "commas, or *",
    )
    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="port of `serve` for Prometheus metrics; left out: none, or with Ray one of its choosing",
    )
    log_format: Literal["text", "json"] = Field("text", description="json: one object a line, for a log collector")

    traces: bool = Field(
        False, description="export OpenTelemetry spans of each request, to OTEL_EXPORTER_OTLP_ENDPOINT (HTTP)"
    )

    max_slots: int = Field(
        0,
        ge=0,
        description="sentences decoded at once; 0 chooses 16 on a CPU, 64 on a GPU, which may have room for fewer",
    )
    max_waiting: int = Field(
        64, ge=1, description="what may wait before it is refused with 429: sentences, or with Ray Serve requests"
    )
    max_slots_per_request: int = Field(8, ge=1, description="sentences of one request decoded side by side")
    deterministic: bool = Field(
        False, description="fixed batch and cache shapes: the same seed gives the same bits whatever else runs"
    )
    cuda_graphs: bool = Field(
        True, description="on a GPU, capture what is computed at the start and replay it: false where that fails"
    )
    fused_kernels: bool = Field(
        False,
        description="on a GPU, our own kernels in decode steps, for which Triton needs a C compiler; not measured yet",
    )

    voice_dir: Path = Field(
        Path("~/.cache/xtts-serve/voices"), description="where voices are kept: users' own, and what is encoded"
    )
    voice_url: str = Field(
        "",
        description="bucket that takes the directory's place, shared by replicas: s3://, gs:// or az://BUCKET/PREFIX",
    )
    voice_cache_bytes: int = Field(256 * MEBIBYTE, ge=1, description="encoded voices kept in memory")
    max_voices: int = Field(1_000, ge=0, description="voices that users may make, up to 1.5 MB each; 0: none")
    max_upload_bytes: int = Field(25 * MEBIBYTE, ge=1, description="largest reference recording")
    max_text_chars: int = Field(20_000, ge=1, description="longest text that is answered whole, in characters")
    max_streamed_chars: int = Field(
        200_000, ge=1, description="longest text whose speech is streamed, in characters: four hours"
    )

    job_dir: Path = Field(
        Path("~/.cache/xtts-serve/jobs"), description="where jobs and their speech are kept; HTTP replicas may share it"
    )
    max_jobs: int = Field(100, ge=0, description="jobs that are kept of each API key, those that are over too; 0: none")
    max_job_chars: int = Field(2_000_000, ge=1, description="characters of one job's texts: forty hours, 4 GB")
    max_jobs_running: int = Field(1, ge=0, description="jobs that an HTTP process speaks at once; 0: none")
    job_days: float = Field(7.0, gt=0.0, description="days that a job and its speech are kept after its end")

    pronunciations_file: Path | None = Field(
        None, description='words and how to write them so that they are said right: JSON, {"en": {"SQL": "sequel"}}'
    )

    max_chunk_s: float = Field(
        2.0, ge=0.1, le=2.0, description="longest piece of a stream, in seconds of speech: shorter ones cost more"
    )
    first_audio_timeout_s: float = Field(
        120.0, gt=0.0, description="longest wait for the first audio, once text and reference are read; then 429"
    )
    num_ingress_replicas: int = Field(1, ge=1, description="Ray Serve: HTTP replicas")
    min_engine_replicas: int = Field(1, ge=1, description="Ray Serve: engine replicas kept at least")
    max_engine_replicas: int = Field(1, ge=1, description="Ray Serve: engine replicas at most")
    upscale_delay_s: float = Field(
        5.0, ge=0.0, description="Ray Serve: how long more engine replicas must be wanted before they are started"
    )
    downscale_delay_s: float = Field(
        300.0, ge=0.0, description="Ray Serve: how long fewer must do before one is stopped; loading takes a minute"
    )
    num_gpus_per_engine: float | None = Field(
        None,
        ge=0.0,
        description="Ray Serve: GPUs, or a fraction, of one engine replica; left out: one if XTTS_DEVICE is cuda",
    )
    shutdown_timeout_s: float = Field(180.0, gt=0.0, description="longest wait for running speech when a replica stops")

    @field_validator("port", mode="before")
    @classmethod
    def _is_no_service_link(cls, value: Any) -> Any:
        return cls.model_fields["port"].default if isinstance(value, str) and value.startswith("tcp://") else value

    @field_validator("extra_models", mode="before")
    @classmethod
    def _is_a_list_of_models(cls, value: Any) -> Any:
        return _read_models(value) if isinstance(value, str) else value

    @field_validator("extra_models")
    @classmethod
    def _has_sane_names(cls, models: dict[str, str]) -> dict[str, str]:
        if len(models) > MAX_EXTRA_MODELS:
            raise ValueError(f"these are {len(models)} models, at most {MAX_EXTRA_MODELS} can be served")
        for name, source in models.items():
            if MODEL_NAME.fullmatch(name) is None or name == "default":
                raise ValueError(
                    f"{name!r} is no name of a model: use 1 to 64 letters, digits, '.', '_', ':' or '-', "
                    "a letter or digit first, and not 'default'"
                )
            if not source.strip():
                raise ValueError(f"the model {name!r} has no source: write {name}=DIRECTORY")
        return models

    @field_validator("voice_url")
    @classmethod
    def _is_a_bucket(cls, value: str) -> str:
        if value and BUCKET.fullmatch(value) is None:  # and is not repeated: it may hold a password
            raise ValueError(
                "this is not s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX. "
                "Credentials, endpoint and region belong into the environment, and a directory into voice_dir"
            )
        return value

    @model_validator(mode="after")
    def _knows_every_variable(self) -> Self:
        known = [PREFIX + name.upper() for name in type(self).model_fields]
        for name in sorted(os.environ):
            if name.startswith(PREFIX) and name not in known and not _is_service_link(name):
                likely = difflib.get_close_matches(name, known, n=1)
                raise ValueError(f"there is no setting {name}" + (f"; did you mean {likely[0]}?" if likely else ""))
        return self

    def num_slots(self, *, is_gpu: bool) -> int:
        """`max_slots`, or what suits the device."""
        return self.max_slots or (GPU_SLOTS if is_gpu else CPU_SLOTS)


def _read_models(text: str) -> Any:
    """`NAME=MODEL,NAME=MODEL`, or JSON, which can hold any source. Raises ValueError."""
    if text.lstrip().startswith("{"):
        return json.loads(text)
    models: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, has_source, source = (each.strip() for each in part.partition("="))
        if not has_source:
            raise ValueError(f"{part!r} is not NAME=MODEL")
        if name in models:
            raise ValueError(f"the name {name!r} stands there twice")
        models[name] = source
    return models


def _is_service_link(name: str) -> bool:
    is_address = name.endswith("_PORT") and SERVICE_ADDRESS.fullmatch(os.environ[name]) is not None
    return is_address or SERVICE_LINK.fullmatch(name) is not None


def make_settings(**options: Any) -> Settings:
    """Settings from the environment, with the options that were given, not None, on top.

    Raises `SettingsError` that names every wrong field.
    """
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise SettingsError(f"settings are wrong: {found}. Correct them and start again.") from None
