"""Batches for the GPT: sentences of several voices, of similar length, each voice with a reference of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from serve_app.model.config import CODE_STRIDE, GptConfig
from serve_app.training.codes import EncodedVoice
from serve_app.training.recordings import Recording
from serve_app.training.references import draw_length, draw_reference, reference_mel, vary
from serve_app.training.spectrogram import SAMPLE_RATE_HZ

PATCH_S = CODE_STRIDE / SAMPLE_RATE_HZ
VALIDATION_SHARE = 0.02  # of each voice's sentences, the last, where not told otherwise
TextIds = Callable[[Recording], list[int]]
IGNORED = -100  # a target that counts for nothing, as in torch's cross entropy


@dataclass(frozen=True)
class Item:
    """One sentence, ready: `text` ids with START, the language and STOP; `heard` [text rows, audio rows] bool: which
    text row is spoken where, empty where no timing is known."""

    voice: int
    index: int
    text: Tensor
    codes: Tensor
    components: Tensor
    heard: Tensor


@dataclass(frozen=True)
class Batch:
    """`voice_of` [batch] points into `mels` [voices, 80, frames]. Audio rows: the start code and all codes; targets
    of a row are what follows it. `heard` [batch, audio rows, text rows]."""

    mels: Tensor
    voice_of: Tensor
    text: Tensor
    text_lengths: Tensor
    codes: Tensor
    targets: Tensor
    components: Tensor  # [batch, audio rows, components]
    heard: Tensor
    items: list[Item]

    def to(self, device: torch.device) -> "Batch":
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    @property
    def is_audio(self) -> Tensor:
        return self.targets != IGNORED


class Batcher:
    """Endless batches of the training part; the validation part as it is asked for."""

    def __init__(
        self,
        voices: Sequence[EncodedVoice],
        text_ids: TextIds,
        config: GptConfig,
        mel_stats: Tensor,
        validation_share: float = VALIDATION_SHARE,
    ) -> None:
        """`text_ids`: a recording's text tokens, the language's in front, without START and STOP."""
        self.voices, self._text_ids, self._config, self._mel_stats = voices, text_ids, config, mel_stats
        self._training: list[list[int]] = []
        self._validation: list[tuple[int, int]] = []
        for number, voice in enumerate(voices):
            lengths = np.diff(voice.starts)
            fitting = [i for i in range(len(voice.recordings)) if self._fits(voice, i)]
            num_training = len(fitting) - max(1, int(len(fitting) * validation_share))
            self._training.append(sorted(fitting[:num_training], key=lengths.__getitem__))
            self._validation += [(number, i) for i in fitting[num_training:]]
        self._weights = np.array([len(part) for part in self._training], dtype=float) ** 0.7
        self._weights /= self._weights.sum()

    def _fits(self, voice: EncodedVoice, index: int) -> bool:
        num_codes = voice.starts[index + 1] - voice.starts[index]
        num_tokens = len(self._text_ids(voice.recordings[index]))
        return num_codes < self._config.max_codes and num_tokens < self._config.max_sentence_tokens

    @property
    def validation_recordings(self) -> list[Recording]:
        return [self.voices[voice].recordings[index] for voice, index in self._validation]

    def validation_of(self, voice: int) -> list[int]:
        """Which of a voice's recordings training never sees."""
        return [index for number, index in self._validation if number == voice]

    @property
    def num_sentences(self) -> int:
        return sum(len(part) for part in self._training)

    def draw(self, num_voices: int, per_voice: int, draw: np.random.Generator) -> Batch:
        """Sentences near one place in each voice's order of length."""
        place = draw.random()
        chosen = draw.choice(len(self.voices), size=num_voices, p=self._weights, replace=True)
        items: list[Item] = []
        for voice in chosen:
            part = self._training[voice]
            middle = place * len(part)
            spread = max(per_voice, 0.03 * len(part))
            near = np.clip(middle + draw.uniform(-spread, spread, per_voice), 0, len(part) - 1).astype(int)
            items += [self.item(int(voice), part[i]) for i in near]
        mels = self._mels(chosen, draw)
        voice_of = torch.arange(num_voices).repeat_interleave(per_voice)
        return self.collate(items, mels, voice_of)

    def validation(self, size: int, draw: np.random.Generator) -> Batch:
        """A batch of sentences that training never sees, each with a reference drawn anew."""
        size = min(size, len(self._validation))
        picked = draw.choice(len(self._validation), size=size, replace=False)
        items = [self.item(*self._validation[i]) for i in picked]
        samples = torch.stack([draw_reference(self.voices[each.voice], 3 * SAMPLE_RATE_HZ, draw) for each in items])
        return self.collate(items, reference_mel(samples, self._mel_stats), torch.arange(size))

    def _mels(self, chosen: npt.NDArray[np.int64], draw: np.random.Generator) -> Tensor:
        length = draw_length(draw)
        samples = torch.stack([draw_reference(self.voices[voice], length, draw) for voice in chosen])
        return vary(reference_mel(samples, self._mel_stats), self._mel_stats, draw)

    def item(self, voice: int, index: int) -> Item:
        source = self.voices[voice]
        recording = source.recordings[index]
        start, stop = int(source.starts[index]), int(source.starts[index + 1])
        ids = self._text_ids(recording)
        text = torch.tensor([self._config.start_text_token, *ids, self._config.stop_text_token])
        components = torch.from_numpy(source.components[start:stop].astype(np.float32))
        components = torch.cat([components, components[-1:]])  # the row that says stop is heard too
        codes = torch.from_numpy(source.codes[start:stop].astype(np.int64))
        return Item(voice, index, text, codes, components, heard_tokens(recording.ends_s, len(codes)))

    def collate(self, items: list[Item], mels: Tensor, voice_of: Tensor) -> Batch:
        num_text = max(len(item.text) for item in items)
        num_audio = max(len(item.codes) for item in items) + 1
        config = self._config

        def padded(values: Tensor, count: int, value: int) -> Tensor:
            return functional.pad(values, (0, count - len(values)), value=value)

        start, stop = torch.tensor([config.start_audio_token]), torch.tensor([config.stop_audio_token])
        codes = [padded(torch.cat([start, item.codes]), num_audio, config.stop_audio_token) for item in items]
        targets = [padded(torch.cat([item.codes, stop]), num_audio, IGNORED) for item in items]
        heard = torch.zeros(len(items), num_audio, num_text, dtype=torch.bool)
        components = torch.zeros(len(items), num_audio, items[0].components.shape[1])
        for row, item in enumerate(items):
            heard[row, : item.heard.shape[0], : item.heard.shape[1]] = item.heard
            components[row, : len(item.components)] = item.components
        return Batch(
            mels=mels,
            voice_of=voice_of,
            text=torch.stack([padded(item.text, num_text, config.stop_text_token) for item in items]),
            text_lengths=torch.tensor([len(item.text) for item in items]),
            codes=torch.stack(codes),
            targets=torch.stack(targets),
            components=components,
            heard=heard,
            items=items,
        )


def heard_tokens(ends_s: Sequence[float], num_codes: int) -> Tensor:
    """[num codes + 1, tokens + 3] bool: the text rows that are heard in each code's 46 ms. The row that says stop
    belongs to the STOP token; START and the language are heard nowhere."""
    if not ends_s:
        return torch.zeros(0, 0, dtype=torch.bool)
    ends = torch.tensor(ends_s) / PATCH_S
    starts = torch.cat([torch.zeros(1), ends[:-1]])
    code = torch.arange(num_codes)[:, None]
    heard = torch.zeros(num_codes + 1, len(ends_s) + 3, dtype=torch.bool)
    heard[:num_codes, 2:-1] = (starts < code + 1) & (ends > code) & (ends > starts)
    heard[num_codes, -1] = True
    return heard
