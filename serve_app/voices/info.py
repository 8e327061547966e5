"""What users should know of a voice: of one that a model brings, and of one that they make. Imports no torch."""

from dataclasses import dataclass

from serve_app.audio.pcm import Recording


@dataclass(frozen=True)
class VoiceInfo:
    """`licence` is of the recordings or the synthesiser that the voice was learnt from; "" where nobody said."""

    name: str
    description: str = ""
    licence: str = ""


@dataclass(frozen=True)
class PreparedVoice:
    """What recordings became: the one reference that a voice is kept as, and what their owner should know."""

    reference: Recording  # at most 30 s, 22.05 kHz, each sample a multiple of 1/32767
    speech_s: float
    warnings: tuple[str, ...] = ()
