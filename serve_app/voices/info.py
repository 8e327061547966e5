"""What users should know of a voice that a model brings. Imports no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VoiceInfo:
    """`licence` is of the recordings or the synthesiser that the voice was learnt from; "" where nobody said."""

    name: str
    description: str = ""
    licence: str = ""
