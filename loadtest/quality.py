"""What ears say of speech, beside its speed. Needs the packages of the group `ears`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import numpy.typing as npt

from loadtest.compare.listening import Listened, Text
from loadtest.verdict import table
from serve_app.errors import StartupError
from serve_app.training.hearing import Ears, Heard, SoundEar, VoiceEar, similarity, word_error_rate

Embedding = npt.NDArray[np.float32]
Spoken = Sequence[tuple[Text, Listened]]


@dataclass(frozen=True)
class Quality:
    """`words_wrong`: word error rate, by Whisper-base. `mos`: mean overall score of DNSMOS P.835, 1 to 5. `likeness`:
    mean cosine to a voice, by Resemblyzer; None where there is none to be like.
    """

    words_wrong: float
    mos: float
    likeness: float | None


class Judges:
    """Loads the models. Raises `StartupError` where their packages are not installed."""

    def __init__(self) -> None:
        try:
            self._words, self._sound, self._voices = Ears(), SoundEar(), VoiceEar()
        except ImportError as error:
            raise StartupError(f"{error}; to judge speech, install the test requirements (make check does)") from error

    def judge(self, spoken: Spoken, likes: Sequence[Embedding] | None) -> Quality | None:
        """`likes` has a voice for each text. None where nothing was spoken."""
        served = [index for index, (_, said) in enumerate(spoken) if not said.why]
        if not served:
            return None
        heard, scores, alike = [], [], []
        for index in served:
            text, said = spoken[index]
            understood = self._words.transcribe(said.samples, said.rate_hz, text.language)
            heard.append(Heard(text.text, understood, text.language))
            scores.append(self._sound.mos(said.samples, said.rate_hz))
            if likes is not None:
                alike.append(similarity(likes[index], self.voice(said.samples, said.rate_hz)))
        return Quality(word_error_rate(heard), fmean(scores), fmean(alike) if alike else None)

    def voice(self, samples: npt.NDArray[np.float32], rate_hz: int) -> Embedding:
        """[num_samples] → [256], of length 1."""
        return self._voices.embed(samples, rate_hz)


def judge_beside_each_other(spoken: Mapping[str, Spoken], judges: Judges) -> dict[str, Quality | None]:
    """Each peer's texts; likeness is to the last peer's voice at the same text, where it spoke all."""
    *_, last = spoken.values()
    likes = None
    if not any(said.why for _, said in last):
        likes = [judges.voice(said.samples, said.rate_hz) for _, said in last]
    return {name: judges.judge(texts, likes) for name, texts in spoken.items()}


def quality_table(found: Mapping[str, Quality | None], num_texts: int) -> Iterator[str]:
    last = list(found)[-1]
    head = ["", f"words wrong, of {num_texts} texts", "DNSMOS, of 5", f"voice like that of {last}"]
    return table(head, ([name, *quality_cells(each)] for name, each in found.items()))


def quality_cells(quality: Quality | None) -> list[str]:
    """Words, score, likeness."""
    if quality is None:
        return ["–", "–", "–"]
    likeness = "–" if quality.likeness is None else f"{quality.likeness:.2f}"
    return [f"{quality.words_wrong:.1%}", f"{quality.mos:.2f}", likeness]
