"""Every error a caller can meet, with its HTTP status and a stable code. Imports nothing of ours.

ServiceError                    500 internal_error
├── RequestError                400 invalid_request        the caller can mend it; `field` names where
│   ├── EmptyText               400 empty_text
│   ├── UnsupportedLanguage     422 unsupported_language
│   ├── TextTooLong             422 text_too_long
│   ├── InvalidBase64           422 invalid_base64
│   ├── InvalidAudio            422 invalid_audio
│   ├── ReferenceTooShort       422 reference_too_short
│   ├── ReferenceTooLong        422 reference_too_long
│   ├── UploadTooLarge          413 upload_too_large
│   ├── VoiceNotFound           404 voice_not_found
│   ├── StyleNotFound           404 style_not_found
│   ├── VoiceExists             409 voice_exists
│   ├── TooManyVoices           409 too_many_voices        as many are kept as may be
│   ├── ConsentMissing          422 consent_missing
│   ├── NotYours                403 not_yours              another API key made it
│   ├── ModelNotFound           404 model_not_found
│   ├── JobNotFound             404 job_not_found
│   ├── JobNotDone              409 job_not_done           it has no result yet, or never will
│   ├── TooManyJobs             409 too_many_jobs          as many are kept as may be
│   ├── Unauthorized            401 invalid_api_key
│   └── OriginNotAllowed        403 origin_not_allowed
├── Overloaded                  429 overloaded             try again after `retry_after_s`
│   └── RateLimited             429 rate_limited           this API key asks for more than it may
├── Unavailable                 503 unavailable            starting, draining, or the engine is gone
│   ├── ModelUnavailable        503 model_unavailable      this one could not be loaded; others may speak
│   ├── OutOfMemory             503 out_of_memory          tried twice, and the device had no memory for it
│   └── StorageFailed           503 storage_failed         where voices or jobs are kept cannot be used
├── StorageFull                 507 storage_full
├── JobDamaged                  500 job_damaged            its files are not what was written
├── SynthesisFailed             500 synthesis_failed       this sentence could not be spoken
│   └── CeilingReached          500 ceiling_reached        it came to the model's last position without an end
├── EngineFailed                500 engine_failed          the engine loop died
└── StartupError                500 startup_error          refused at start; the message says what to do
    ├── SettingsError           500 invalid_settings
    ├── LicenceNotAccepted      500 licence_not_accepted
    └── CheckpointError         500 invalid_checkpoint
"""

from typing import Any, ClassVar


class ServiceError(Exception):
    """Base of the tree. `message` is for the caller and ends with what to do next.

    Instances survive pickling, so they cross a process boundary whole.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, field: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.field, self.retry_after_s)


def _rebuild(kind: type[ServiceError], message: str, field: str | None, retry_after_s: float | None) -> ServiceError:
    return kind(message, field=field, retry_after_s=retry_after_s)


class RequestError(ServiceError):
    status, code = 400, "invalid_request"


class EmptyText(RequestError):
    code = "empty_text"


class UnsupportedLanguage(RequestError):
    status, code = 422, "unsupported_language"


class TextTooLong(RequestError):
    status, code = 422, "text_too_long"


class InvalidBase64(RequestError):
    status, code = 422, "invalid_base64"


class InvalidAudio(RequestError):
    status, code = 422, "invalid_audio"


class ReferenceTooShort(RequestError):
    status, code = 422, "reference_too_short"


class ReferenceTooLong(RequestError):
    status, code = 422, "reference_too_long"


class UploadTooLarge(RequestError):
    status, code = 413, "upload_too_large"


class VoiceNotFound(RequestError):
    status, code = 404, "voice_not_found"


class StyleNotFound(RequestError):
    status, code = 404, "style_not_found"


class VoiceExists(RequestError):
    status, code = 409, "voice_exists"


class TooManyVoices(RequestError):
    status, code = 409, "too_many_voices"


class ConsentMissing(RequestError):
    status, code = 422, "consent_missing"


class NotYours(RequestError):
    status, code = 403, "not_yours"


class ModelNotFound(RequestError):
    status, code = 404, "model_not_found"


class JobNotFound(RequestError):
    status, code = 404, "job_not_found"


class JobNotDone(RequestError):
    status, code = 409, "job_not_done"


class TooManyJobs(RequestError):
    status, code = 409, "too_many_jobs"


class Unauthorized(RequestError):
    status, code = 401, "invalid_api_key"


class OriginNotAllowed(RequestError):
    status, code = 403, "origin_not_allowed"


class Overloaded(ServiceError):
    status, code = 429, "overloaded"


class RateLimited(Overloaded):
    code = "rate_limited"


class Unavailable(ServiceError):
    status, code = 503, "unavailable"


class ModelUnavailable(Unavailable):
    code = "model_unavailable"


class OutOfMemory(Unavailable):
    code = "out_of_memory"


class StorageFailed(Unavailable):
    code = "storage_failed"


class StorageFull(ServiceError):
    status, code = 507, "storage_full"


class JobDamaged(ServiceError):
    code = "job_damaged"


class SynthesisFailed(ServiceError):
    code = "synthesis_failed"


class CeilingReached(SynthesisFailed):
    code = "ceiling_reached"


class EngineFailed(ServiceError):
    code = "engine_failed"


class StartupError(ServiceError):
    code = "startup_error"


class SettingsError(StartupError):
    code = "invalid_settings"


class LicenceNotAccepted(StartupError):
    code = "licence_not_accepted"


class CheckpointError(StartupError):
    code = "invalid_checkpoint"
