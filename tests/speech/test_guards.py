"""What is done about a model that loses its way: it is stopped, tried again, its silence is cut, and all is counted."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from serve_app.audio.pcm import Samples
from serve_app.audio.silence import MAX_SILENCE_S
from serve_app.engine.sequence import FinishReason, Prompt, SequenceOutput
from serve_app.metrics import Metrics, PrometheusExporter
from serve_app.model.checkpoint import Checkpoint
from serve_app.speech.request import Guards, SpeechRequest, one_turn
from serve_app.speech.service import SpeechService
from serve_app.text.languages import expected_codes
from tests.engine.support import STOP, changed, run
from tests.speech.support import SENTENCES, hear, serving

SENTENCE = SENTENCES[0]
ALL = Guards()
LOUD = np.full(24_000, 0.1, np.float32)


@dataclass
class Stage:
    """A service whose engine follows a script: for each sequence, the reason of its end."""

    service: SpeechService
    registry: CollectorRegistry
    prompts: list[Prompt]
    endings: list[FinishReason]
    samples: Samples = field(default_factory=LOUD.copy)

    async def generate(self, prompt: Prompt) -> AsyncGenerator[SequenceOutput]:
        reason, is_first = self.endings[len(self.prompts)], not self.prompts
        self.prompts.append(prompt)
        if prompt.chunk_codes:
            yield SequenceOutput(self.samples, 8)
            await asyncio.sleep(0.5 if is_first else 0.05)  # the listener has it, and is not yet at the next sentence
        yield SequenceOutput(self.samples, 40, reason)

    def count(self, by: str) -> float:
        return self.registry.get_sample_value("xtts_mended_sentences_total", {"by": by}) or 0.0


@pytest.fixture
def stage(talkative: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Stage]:
    with counted(talkative, tmp_path) as stage:
        monkeypatch.setattr(stage.service.engine, "generate", stage.generate)
        yield stage


@contextmanager
def counted(checkpoint: Checkpoint, directory: Path) -> Generator[Stage]:
    registry = CollectorRegistry()
    with serving(checkpoint, directory, recorder=Metrics(PrometheusExporter(registry))) as service:
        yield Stage(service, registry, [], [])


@pytest.fixture(scope="module")
def talkative(tiny_checkpoint: Checkpoint) -> Checkpoint:
    """A model that never stops by itself, and says no length of its own."""
    return changed(tiny_checkpoint, biases={STOP: -100.0})


def asking(text: str = SENTENCE, *, guards: Guards = ALL, is_streaming: bool = False) -> SpeechRequest:
    return one_turn(text, "en", seed=5, guards=guards, is_streaming=is_streaming)


def test_sentence_without_an_end_is_stopped_at_its_ceiling(talkative: Checkpoint, tmp_path: Path) -> None:
    with counted(talkative, tmp_path) as stage:
        heard = run(hear(stage.service, asking(guards=Guards(retry=False))))
    assert 1.5 < heard.summary.num_codes / expected_codes(SENTENCE, "en") < 2.5
    assert any(SENTENCE in warning for warning in heard.summary.warnings)
    assert stage.registry.get_sample_value("xtts_guards_total", {"guard": "ceiling"}) == 1.0
    assert stage.count("retry") == 0.0


def test_model_that_goes_in_circles_is_stopped(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    stuck = changed(tiny_checkpoint, biases={7: 1000.0})
    with counted(stuck, tmp_path) as stage:
        heard = run(hear(stage.service, asking(guards=Guards(retry=False, ceiling=False))))
    assert heard.summary.num_codes <= 48
    assert stage.registry.get_sample_value("xtts_guards_total", {"guard": "loop"}) == 1.0


@pytest.mark.parametrize("reason", [FinishReason.CEILING, FinishReason.LOOP])
def test_lost_sentence_is_spoken_anew_with_other_noise(stage: Stage, reason: FinishReason) -> None:
    stage.endings = [reason, FinishReason.STOP]
    heard = run(hear(stage.service, asking()))
    first, second = stage.prompts
    assert first.text_tokens == second.text_tokens and first.sampling.seed != second.sampling.seed
    assert len(heard.samples) == len(LOUD)
    assert not any(SENTENCE in warning for warning in heard.summary.warnings)
    assert stage.count("retry") == 1.0


def test_second_try_that_is_lost_too_is_heard_and_told(stage: Stage) -> None:
    stage.endings = [FinishReason.LOOP, FinishReason.CEILING]
    heard = run(hear(stage.service, asking()))
    assert len(stage.prompts) == 2
    assert any(SENTENCE in warning for warning in heard.summary.warnings)


def test_what_was_heard_is_not_spoken_again(stage: Stage) -> None:
    stage.endings = [FinishReason.LOOP]
    stage.samples = LOUD
    heard = run(hear(stage.service, asking(is_streaming=True)))
    assert len(stage.prompts) == 1 and len(heard.samples) == 2 * len(LOUD)
    assert any(SENTENCE in warning for warning in heard.summary.warnings)


def test_sentence_ahead_that_nobody_heard_is_spoken_anew(stage: Stage) -> None:
    stage.endings = [FinishReason.STOP, FinishReason.LOOP, FinishReason.STOP]
    heard = run(hear(stage.service, asking(" ".join(SENTENCES[:2]), is_streaming=True)))
    assert len(stage.prompts) == 3
    assert heard.summary.warnings == stage.service._notices
    assert len(heard.sentence(1)) == len(LOUD)  # the second try hands over nothing before it is whole


@pytest.mark.parametrize(
    ("guards", "expected"),
    [
        (Guards(), (True, True)),
        (Guards(ceiling=False), (False, True)),
        (Guards(loops=False), (True, False)),
        (Guards(ceiling=False, loops=False, retry=False, silence=False), (False, False)),
    ],
)
def test_each_guard_can_be_switched_off(stage: Stage, guards: Guards, expected: tuple[bool, bool]) -> None:
    stage.endings = [FinishReason.STOP]
    run(hear(stage.service, asking(guards=guards)))
    (prompt,) = stage.prompts
    assert (prompt.max_codes is not None, prompt.ends_loops) == expected


@pytest.mark.parametrize("is_streaming", [True, False])
def test_long_silence_is_cut_and_counted(stage: Stage, is_streaming: bool) -> None:
    stage.endings = [FinishReason.STOP] * 2
    stage.samples = np.concatenate([LOUD, np.zeros(48_000, np.float32), LOUD])
    cut = run(hear(stage.service, asking(is_streaming=is_streaming)))
    left = run(hear(stage.service, asking(is_streaming=is_streaming, guards=Guards(silence=False))))
    times = 2 if is_streaming else 1
    assert len(left.samples) == times * len(stage.samples)
    assert len(left.samples) - len(cut.samples) == pytest.approx(times * (2.0 - MAX_SILENCE_S) * 24_000, abs=480)
    assert stage.count("silence") == 1.0
    assert cut.summary.duration_s == len(cut.samples) / 24_000


def test_model_of_a_fixed_length_has_no_guards(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    shapes = replace(tiny_checkpoint.config, fixed_codes_per_token=2.5)
    with counted(replace(tiny_checkpoint, config=shapes), tmp_path) as stage:
        heard = run(hear(stage.service, asking()))
    assert heard.summary.num_codes > 0 and heard.summary.warnings == stage.service._notices
