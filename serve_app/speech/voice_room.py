"""Who speaks, and how: from a choice of voice and style to what the engine needs. Knows no text and no HTTP."""

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch

from serve_app.audio.pcm import Recording
from serve_app.errors import StorageFailed, StyleNotFound, VoiceNotFound
from serve_app.speech.prosody import PLAIN, PRESETS, Prosody
from serve_app.speech.request import SpeechRequest, VoiceChoice, naming_turn
from serve_app.voices.catalogue import Catalogue
from serve_app.voices.info import PreparedVoice, VoiceInfo
from serve_app.voices.store import VoiceStore
from serve_app.voices.voice import VoiceLatents

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SpokenVoice:
    """What a turn is spoken with."""

    latents: VoiceLatents
    prosody: Prosody = PLAIN
    warnings: tuple[str, ...] = ()


class VoiceRoom:
    """A model's own voices, those that users made, and recordings of requests; used from one event loop."""

    def __init__(
        self,
        voices: Mapping[str, VoiceLatents],
        store: VoiceStore,
        catalogue: Catalogue,
        infos: Mapping[str, VoiceInfo] = MappingProxyType({}),
    ) -> None:
        """`voices` are the model's own; `infos` what is known of some of them."""
        self._voices, self._store, self._catalogue = voices, store, catalogue
        self.infos = tuple(infos.get(name, VoiceInfo(name)) for name in voices)

    async def voices_of(self, request: SpeechRequest) -> list[SpokenVoice]:
        """The voice of each turn. Raises a RequestError whose field names the turn, where there are several."""
        found = []
        for index, turn in enumerate(request.turns):
            with naming_turn(request.turns, index):
                found.append(await self.find(turn.voice))
        return found

    async def find(self, choice: VoiceChoice) -> SpokenVoice:
        """Raises VoiceNotFound, StyleNotFound, ReferenceTooShort, and what encoding a voice raises."""
        warnings: tuple[str, ...] = ()
        if choice.reference is not None:
            stored = await self._store.get(choice.reference)
            latents, warnings = stored.latents, stored.warnings
        else:
            latents = mixed([(await self._named(name), weight) for name, weight in choice.parts])
        if choice.style is None or choice.style_intensity == 0.0:
            return SpokenVoice(latents, warnings=warnings)
        return await self._in_style(latents, choice, warnings)

    async def prepare(self, recordings: Sequence[Recording], *, is_style: bool) -> PreparedVoice:
        """See `SpeechBackend.prepare_voice`."""
        return await self._store.join(recordings, is_style=is_style, field="audio")

    def close(self) -> None:
        self._store.close()
        self._catalogue.close()

    async def _named(self, name: str) -> VoiceLatents:
        if (own := self._voices.get(name)) is not None:
            return own
        try:
            reference = await asyncio.to_thread(self._catalogue.recording, name)
        except VoiceNotFound:
            known = ", ".join(self._voices)
            raise VoiceNotFound(
                f"there is no voice {name[:80]!r}: choose one of {known}, or make it", field="voice"
            ) from None
        return (await self._store.get_prepared(reference)).latents

    async def _in_style(self, latents: VoiceLatents, choice: VoiceChoice, warnings: tuple[str, ...]) -> SpokenVoice:
        style, intensity = choice.style or "", choice.style_intensity
        preset = PRESETS.get(style)
        try:
            reference = await asyncio.to_thread(self._style_recording, style, choice)
        except StorageFailed:
            if preset is None:
                raise
            reference = None
        if reference is not None:
            manner = (await self._store.get_prepared(reference)).latents
            return SpokenVoice(in_manner(latents, manner, intensity), warnings=warnings)
        if preset is None:
            raise await asyncio.to_thread(self._no_style, style, choice)
        if preset == PLAIN:
            return SpokenVoice(latents, warnings=warnings)
        told = (
            f"{style!r} is spoken by a preset of tempo, pitch and loudness: "
            "a recording of this emotion, stored as a style, sounds truer"
        )
        return SpokenVoice(latents, preset.scaled(intensity), (*warnings, told))

    def _style_recording(self, style: str, choice: VoiceChoice) -> Recording | None:
        """A style of the chosen voices, of the heaviest first, or one for all voices."""
        for voice_id in (*self._custom_voices(choice), None):
            if (recording := self._catalogue.style(style, voice_id)) is not None:
                return recording
        return None

    def _custom_voices(self, choice: VoiceChoice) -> list[str]:
        if choice.reference is not None:
            return []
        heaviest_first = sorted(choice.parts, key=lambda part: -part[1])
        return [name for name, _ in heaviest_first if name not in self._voices]

    def _no_style(self, style: str, choice: VoiceChoice) -> StyleNotFound:
        known = dict.fromkeys(PRESETS)
        try:
            for voice_id in (*self._custom_voices(choice), None):
                known |= dict.fromkeys(entry.id for entry in self._catalogue.styles(voice_id))
        except StorageFailed:
            logger.warning("the styles that exist cannot be listed for an error's message")
        names = ", ".join(known)
        return StyleNotFound(f"there is no emotion or style {style[:80]!r}: choose one of {names}", field="emotion")


def mixed(parts: Sequence[tuple[VoiceLatents, float]]) -> VoiceLatents:
    """The weighted mean of the latents; the speaker vector is as long as those of the parts are on average."""
    if len(parts) == 1:
        return parts[0][0]
    total = math.fsum(weight for _, weight in parts)
    shares = [weight / total for _, weight in parts]
    cond_latents = _weighted([part.cond_latents for part, _ in parts], shares)
    embedding = _weighted([part.speaker_embedding for part, _ in parts], shares)
    length = sum(share * float(part.speaker_embedding.norm()) for (part, _), share in zip(parts, shares, strict=True))
    return VoiceLatents(cond_latents, embedding * (length / max(float(embedding.norm()), 1e-12)))


def in_manner(voice: VoiceLatents, style: VoiceLatents, intensity: float) -> VoiceLatents:
    """The voice in the manner of a style. The GPT's conditioning carries manner, the speaker vector timbre."""
    return VoiceLatents(torch.lerp(voice.cond_latents, style.cond_latents, intensity), voice.speaker_embedding)


def _weighted(tensors: Sequence[torch.Tensor], shares: Sequence[float]) -> torch.Tensor:
    return (torch.stack(list(tensors)) * torch.tensor(shares).view(-1, *[1] * tensors[0].dim())).sum(dim=0)
