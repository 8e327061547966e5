import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve_app.audio.pcm import Samples
from serve_app.engine.config import EngineConfig
from serve_app.engine.engine import Engine
from serve_app.engine.sequence import WHOLE, Prompt, SamplingParams, SequenceOutput
from serve_app.errors import (
    CeilingReached,
    EmptyText,
    EngineFailed,
    Overloaded,
    RequestError,
    ServiceError,
    SynthesisFailed,
    UnsupportedLanguage,
    VoiceNotFound,
)
from serve_app.model.checkpoint import Checkpoint
from serve_app.model.config import CODE_RATE_HZ, SAMPLE_RATE_HZ
from serve_app.model.tokenizer import Tokenizer
from serve_app.speech.request import AudioChunk, SamplingOptions, collect, one_turn
from serve_app.speech.service import SpeechService
from serve_app.speech.speaking import derive_seed
from serve_app.text.sentences import split_in_half
from tests.engine.reference import load
from tests.engine.support import STOP, changed, largest_difference, make_tokens, make_voice, run, speak
from tests.speech.support import NOTICE, SENTENCES, TEXT, Heard, hear, serving, with_fields

REQUEST = one_turn(TEXT, "en", seed=5)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load("synthetic:tiny")[0]


@pytest.fixture(scope="module")
def service(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Generator[SpeechService]:
    with serving(checkpoint, tmp_path_factory.mktemp("voices")) as service:
        yield service


async def _until(condition: Callable[[], bool], timeout_s: float = 10.0) -> float:
    """Seconds until it holds."""
    started_s = time.monotonic()
    while not condition():
        assert time.monotonic() - started_s < timeout_s
        await asyncio.sleep(0.001)
    return time.monotonic() - started_s


async def _idle(engine: Engine) -> float:
    """Seconds until nobody is alive."""
    return await _until(lambda: engine.num_alive == 0)


def _failing_at(engine: Engine, seed: int, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sequence of this seed fails after its first output."""
    generate = engine.generate

    async def failing(prompt: Prompt) -> AsyncGenerator[SequenceOutput]:
        async with aclosing(generate(prompt)) as outputs:
            async for output in outputs:
                yield output
                if prompt.sampling.seed == seed:
                    raise error

    monkeypatch.setattr(engine, "generate", failing)


# -- order ---------------------------------------------------------------------------------------------------------


def test_sentences_keep_their_order_and_places(service: SpeechService) -> None:
    heard = run(hear(service, REQUEST))
    indices = [chunk.sentence_index for chunk in heard.chunks]
    assert indices == sorted(indices)
    assert set(indices) == set(range(len(SENTENCES)))
    starts = np.cumsum([0] + [len(chunk.samples) for chunk in heard.chunks])[:-1]
    assert [chunk.start_sample for chunk in heard.chunks] == starts.tolist()
    assert [chunk.is_last for chunk in heard.chunks] == [False] * (len(indices) - 1) + [True]
    assert len(heard.chunks[-1].samples) == 0


def test_every_sentence_is_what_the_engine_says_of_it_alone(service: SpeechService, checkpoint: Checkpoint) -> None:
    heard = run(hear(service, REQUEST))
    tokenizer = Tokenizer(checkpoint.tokenizer_file, checkpoint.config.languages)
    num_codes = 0
    for index, sentence in enumerate(SENTENCES):
        tokens = tuple(tokenizer.encode(sentence, "en"))
        sampling = SamplingParams(seed=derive_seed(5, (index,)), num_forced_codes=round(2.5 * len(tokens)))
        prompt = Prompt(tokens, make_voice(checkpoint, 1), sampling, chunk_codes=WHOLE)
        alone = run(speak(service.engine, prompt))
        assert largest_difference(heard.sentence(index), alone.samples) < 1e-4
        num_codes += len(alone.codes)
    assert heard.summary.num_codes == num_codes


def test_sentences_run_side_by_side_up_to_the_limit(checkpoint: Checkpoint, tmp_path: Path) -> None:
    heard, num_steps = [], []
    for limit in (1, 3, 8):
        with serving(checkpoint, tmp_path, max_slots_per_request=limit) as service:
            most = 0

            async def watch(service: SpeechService = service) -> Heard:
                nonlocal most
                speaking = asyncio.create_task(hear(service, REQUEST))
                while not speaking.done():
                    most = max(most, service.engine.num_alive)
                    await asyncio.sleep(0.001)
                return await speaking

            heard.append(run(watch()))
            assert most == min(limit, len(SENTENCES))
        num_steps.append(service.engine.stats.num_steps)
    assert num_steps[0] > 2 * num_steps[1] > 2 * num_steps[2]
    assert largest_difference(heard[0].samples, heard[1].samples) < 1e-4
    assert largest_difference(heard[0].samples, heard[2].samples) < 1e-4


# -- seeds ---------------------------------------------------------------------------------------------------------


def test_same_seed_gives_the_same_bytes(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Of many sentences in deterministic mode; of a single one in any."""
    with serving(checkpoint, tmp_path, EngineConfig(max_slots=4, is_deterministic=True)) as service:
        one, other = (run(hear(service, REQUEST)) for _ in range(2))
    assert one.samples.tobytes() == other.samples.tobytes()
    with serving(checkpoint, tmp_path) as service:
        one, other = (run(hear(service, with_fields(REQUEST, text=SENTENCES[0]))) for _ in range(2))
    assert one.samples.tobytes() == other.samples.tobytes()


def test_same_seed_gives_the_same_speech_in_any_mode(service: SpeechService) -> None:
    """Which sentences share a step is a matter of time, and turns last bits."""
    one, other = (run(hear(service, REQUEST)) for _ in range(2))
    assert largest_difference(one.samples, other.samples) < 1e-5


def test_stream_and_whole_are_equal(service: SpeechService) -> None:
    streamed = run(hear(service, REQUEST))
    whole = run(hear(service, with_fields(REQUEST, is_streaming=False)))
    assert len(streamed.chunks) > len(whole.chunks)
    assert largest_difference(streamed.samples, whole.samples) < 1e-4


@pytest.mark.parametrize("max_chunk_s", [0.3, 0.5])
def test_no_piece_is_longer_than_the_settings_say(checkpoint: Checkpoint, tmp_path: Path, max_chunk_s: float) -> None:
    with serving(checkpoint, tmp_path, max_chunk_s=max_chunk_s) as service:
        streamed = run(hear(service, REQUEST))
        whole = run(hear(service, with_fields(REQUEST, is_streaming=False)))
    longest_s = max(len(chunk.samples) for chunk in streamed.chunks) / SAMPLE_RATE_HZ
    assert max_chunk_s < longest_s <= max_chunk_s + 0.3  # what the vocoder held back comes with a sentence's last piece
    assert largest_difference(streamed.samples, whole.samples) < 1e-4


def test_seed_that_was_drawn_is_reported_and_works_again(service: SpeechService) -> None:
    drawn = run(hear(service, one_turn(SENTENCES[0], "en")))
    again = run(hear(service, one_turn(SENTENCES[0], "en", seed=drawn.summary.seed)))
    other = run(hear(service, one_turn(SENTENCES[0], "en")))
    assert drawn.samples.tobytes() == again.samples.tobytes()
    assert other.summary.seed != drawn.summary.seed
    assert largest_difference(other.samples, drawn.samples) > 0.01


def test_same_sentence_twice_is_spoken_twice_anew(service: SpeechService) -> None:
    heard = run(hear(service, one_turn(f"{SENTENCES[0]} {SENTENCES[0]}", "en", seed=5)))
    assert len(heard.summary.sentences) == 2
    assert largest_difference(heard.sentence(0), heard.sentence(1)) > 0.01


@pytest.mark.parametrize("is_streaming", [True, False])
def test_sentences_are_timed_as_they_are_heard(service: SpeechService, is_streaming: bool) -> None:
    heard = run(hear(service, one_turn(" ".join(SENTENCES), "en", seed=5, is_streaming=is_streaming)))
    timings = heard.summary.sentences
    assert [each.text for each in timings] == list(SENTENCES)
    assert timings[0].start_s == 0.0 and timings[-1].end_s == heard.summary.duration_s
    assert all(one.end_s == other.start_s for one, other in pairwise(timings))
    lengths = [len(heard.sentence(index)) for index in range(len(SENTENCES))]
    assert [round((each.end_s - each.start_s) * 24_000) for each in timings] == lengths
    assert heard.summary.num_text_tokens > 5 * len(SENTENCES)


def test_pauses_are_silence_between_the_same_sentences(service: SpeechService) -> None:
    one, other = SENTENCES[:2]
    plain = run(hear(service, one_turn(f"{one} {other}", "en", seed=5)))
    text = f"[pause:0.25]{one} [pause: 0.5s] [pause:0.5] {other}[pause:1]"
    paused = run(hear(service, one_turn(text, "en", seed=5)))
    silence = [np.zeros(round(seconds * 24_000), np.float32) for seconds in (0.25, 1.0, 1.0)]
    expected = [silence[0], plain.sentence(0), silence[1], plain.sentence(1), silence[2]]
    assert paused.samples.tobytes() == np.concatenate(expected).tobytes()
    assert paused.summary.duration_s == len(paused.samples) / 24_000
    starts_s = [each.start_s for each in paused.summary.sentences]
    assert starts_s == [0.25, pytest.approx(1.25 + len(plain.sentence(0)) / 24_000)]
    assert [each.text for each in paused.summary.sentences] == [one, other]
    places = [chunk.start_sample for chunk in paused.chunks]
    assert places == [0, *np.cumsum([len(chunk.samples) for chunk in paused.chunks])[:-1]]


def test_refusal_comes_before_a_pause_at_the_start(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with serving(checkpoint, tmp_path, EngineConfig(max_slots=1, max_waiting=1)) as narrow:

        async def crowd() -> list[object]:
            requests = [one_turn(f"[pause:5] {SENTENCES[0]}", "en", seed=number) for number in range(4)]
            streams = [narrow.stream(request) for request in requests]
            firsts = await asyncio.gather(*(anext(stream) for stream in streams), return_exceptions=True)
            await asyncio.gather(*(stream.aclose() for stream in streams))
            return firsts

        firsts = run(crowd())
    assert sum(isinstance(first, Overloaded) for first in firsts) >= 2


def test_seeds_of_sentences_and_halves_differ() -> None:
    paths = [(0,), (1,), (0, 0), (0, 1), (1, 0), (10,), (0, 0, 0)]
    seeds = {derive_seed(seed, path) for seed in (0, 1, -1, 2**70) for path in paths}
    assert len(seeds) == 4 * len(paths)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(5, (0,)) == derive_seed(5, (0,))


# -- what a request may ask ------------------------------------------------------------------------------------------


def test_speed_changes_duration_alone(service: SpeechService) -> None:
    slow, plain, fast = (run(hear(service, with_fields(REQUEST, speed=speed))).summary for speed in (0.5, 1.0, 2.0))
    assert slow.num_codes == plain.num_codes == fast.num_codes
    assert plain.duration_s == pytest.approx(plain.num_codes / CODE_RATE_HZ, abs=0.1)
    assert slow.duration_s == pytest.approx(2 * plain.duration_s, abs=0.1)
    assert fast.duration_s == pytest.approx(plain.duration_s / 2, abs=0.1)


@pytest.mark.parametrize(
    "change",
    [
        {"voice": "other"},
        {"seed": 6},
        {"sampling": SamplingOptions(temperature=1.5)},
        {"sampling": SamplingOptions(top_k=1)},
        {"sampling": SamplingOptions(top_p=0.1)},
        {"sampling": SamplingOptions(repetition_penalty=1.0)},
    ],
    ids=lambda change: str(next(iter(change.values()))),
)
def test_request_is_heeded(service: SpeechService, change: dict[str, Any]) -> None:
    base = one_turn(SENTENCES[0], "en", seed=5)
    one, other = run(hear(service, base)), run(hear(service, with_fields(base, **change)))
    assert largest_difference(one.samples, other.samples) > 0.01


def test_requests_side_by_side_do_not_hear_each_other(service: SpeechService) -> None:
    requests = [
        one_turn(" ".join(SENTENCES[2 * start : 2 * start + 2]), "en", voice, seed=start)
        for start in range(2)
        for voice in ("default", "other")
    ]
    alone = [run(hear(service, request)) for request in requests]

    async def everyone() -> list[Heard]:
        return await asyncio.gather(*(hear(service, request) for request in requests))

    for one, other in zip(alone, run(everyone()), strict=True):
        assert largest_difference(one.samples, other.samples) < 1e-4


def test_summary_tells_what_happened(service: SpeechService) -> None:
    samples, summary = run(collect(service.stream(with_fields(REQUEST, text=f"{TEXT} \u0f00"))))
    assert summary.duration_s == len(samples) / 24_000
    assert len(summary.sentences) == len(SENTENCES)
    assert summary.seed == 5
    assert set(summary.timings_s) == {"text", "voice", "queue", "first_audio", "synthesis"}
    assert all(seconds >= 0.0 for seconds in summary.timings_s.values())
    assert summary.timings_s["first_audio"] <= sum(summary.timings_s[s] for s in ("text", "voice", "synthesis"))
    assert NOTICE in summary.warnings
    assert any("\u0f00" in warning for warning in summary.warnings)


@pytest.mark.parametrize(
    ("change", "error", "field"),
    [
        ({"voice": "nobody"}, VoiceNotFound, "voice"),
        ({"language": "tlh"}, UnsupportedLanguage, "language"),
        ({"text": " \n"}, EmptyText, "text"),
    ],
)
def test_what_cannot_be_spoken_is_refused(
    service: SpeechService, change: dict[str, Any], error: type[RequestError], field: str
) -> None:
    num_prefills = service.engine.stats.num_prefills
    with pytest.raises(error) as refused:
        run(hear(service, with_fields(REQUEST, **change)))
    assert refused.value.field == field
    assert service.engine.stats.num_prefills == num_prefills


# -- leaving, overload, failure --------------------------------------------------------------------------------------


def test_listener_who_leaves_aborts_all_sentences(service: SpeechService) -> None:
    async def leave() -> None:
        stream = service.stream(with_fields(REQUEST, text=f"{TEXT} {TEXT}"))
        async with aclosing(stream):
            await anext(stream)
            assert service.engine.num_alive > 3
        assert await _idle(service.engine) < 1.0
        assert service.engine._scheduler.num_free_slots == 8

    run(leave())


def test_cancelled_task_aborts_all_sentences(service: SpeechService) -> None:
    async def cancel() -> None:
        speaking = asyncio.create_task(hear(service, REQUEST))
        await _until(lambda: service.engine.num_alive == len(SENTENCES))
        speaking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await speaking
        assert await _idle(service.engine) < 1.0

    run(cancel())


def test_full_engine_refuses_a_request_at_its_first_sentence(checkpoint: Checkpoint, tmp_path: Path) -> None:
    async def crowd(service: SpeechService) -> None:
        prompt = Prompt(make_tokens(9, 1), make_voice(checkpoint, 1), SamplingParams(num_forced_codes=600))
        others = [asyncio.create_task(speak(service.engine, prompt)) for _ in range(3)]
        await _until(lambda: service.engine.num_alive == 3)
        started_s = time.monotonic()
        with pytest.raises(Overloaded) as refused:
            await hear(service, REQUEST)
        assert time.monotonic() - started_s < 1.0
        assert refused.value.retry_after_s is not None
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await _idle(service.engine)
        assert len((await hear(service, REQUEST)).summary.sentences) == len(SENTENCES)

    with serving(checkpoint, tmp_path, EngineConfig(max_slots=2, max_waiting=1)) as service:
        run(crowd(service))


def test_later_sentences_wait_for_room(service: SpeechService, checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Five sentences and room for two: admitted is admitted."""
    with serving(checkpoint, tmp_path, EngineConfig(max_slots=1, max_waiting=1)) as small:
        heard = run(hear(small, REQUEST))
    assert largest_difference(heard.samples, run(hear(service, REQUEST)).samples) < 1e-4


def test_failed_sentence_ends_the_stream_after_those_before_it(
    service: SpeechService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sentence 1 fails while sentence 0 is spoken: heard are all of 0, then the error itself, nothing of 2."""
    expected = run(hear(service, REQUEST)).sentence(0)
    error = SynthesisFailed("the second sentence is not to be had")
    _failing_at(service.engine, derive_seed(5, (1,)), error, monkeypatch)
    chunks: list[AudioChunk] = []

    async def listen() -> None:
        async for chunk in service.stream(REQUEST):
            chunks.append(chunk)

    with pytest.raises(SynthesisFailed) as failed:
        run(listen())
    assert failed.value is error
    assert run(_idle(service.engine)) < 1.0
    assert largest_difference(Heard(chunks).sentence(0), expected) < 1e-4
    assert max(chunk.sentence_index for chunk in chunks) <= 1
    assert not any(chunk.is_last for chunk in chunks)


def test_mistake_of_ours_ends_the_stream_too(service: SpeechService, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing_at(service.engine, derive_seed(5, (2,)), ZeroDivisionError("a mistake"), monkeypatch)
    with pytest.raises(ServiceError):
        run(hear(service, REQUEST), timeout_s=20.0)


def test_status_and_health_follow_the_engine(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with serving(checkpoint, tmp_path) as service:
        status = run(service.status())
        assert status.is_ready
        assert status.model == "synthetic:tiny"
        assert status.voice_names == ("default", "other")
        assert "ko" in status.languages
        assert status.notices == (NOTICE,)
        service.check_health()
        service.close()
        assert not run(service.status()).is_ready
        with pytest.raises(ServiceError):
            service.check_health()
        with pytest.raises(ServiceError) as refused:
            run(hear(service, REQUEST))
        assert not isinstance(refused.value, EngineFailed)


# -- the model's last position ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def short_winded(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Generator[SpeechService]:
    """A model that stops by itself, after 40 codes on average, and has only 60."""
    model = changed(checkpoint, biases={STOP: 3.0}, max_codes=60)
    with serving(model, tmp_path_factory.mktemp("voices")) as service:
        yield service


def _parts_alone(service: SpeechService, sentence: str, seed: int, path: tuple[int, ...] = (0,)) -> list[Samples]:
    """What the service should say: the sentence, or its halves where that comes to the ceiling; nothing if they do."""
    prompt = Prompt(
        tuple(service._tokenizer.encode(sentence, "en")),
        service._voices._voices["default"],
        SamplingParams(seed=derive_seed(seed, path)),
        chunk_codes=WHOLE,
    )
    try:
        return [run(speak(service.engine, prompt)).samples]
    except CeilingReached:
        if len(path) == 3:
            return []
    halves = split_in_half(sentence, "en")
    assert halves is not None
    parts = [_parts_alone(service, half, seed, (*path, number)) for number, half in enumerate(halves)]
    return [part for half in parts for part in half] if all(parts) else []


def test_sentence_that_comes_to_the_ceiling_is_split_again(
    short_winded: SpeechService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.speech.script.LENGTH_MARGIN", 100.0)  # no sentence is split beforehand
    num_split = 0
    for seed in range(30):
        expected = _parts_alone(short_winded, SENTENCES[0], seed)
        if len(expected) < 2:
            continue
        num_split += 1
        heard = run(hear(short_winded, one_turn(SENTENCES[0], "en", seed=seed, is_streaming=False)))
        assert largest_difference(heard.samples, np.concatenate(expected)) < 1e-4
        assert len(heard.summary.sentences) == 1
        assert heard.summary.num_codes == pytest.approx(heard.summary.duration_s * CODE_RATE_HZ, abs=1.0)
        if num_split == 3:
            break
    assert num_split == 3


def test_what_was_heard_cannot_be_split_again(short_winded: SpeechService, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same sentence as a stream: its beginning is out, so its end without a stop is an error, never a cut."""
    monkeypatch.setattr("serve_app.speech.script.LENGTH_MARGIN", 100.0)
    seed = next(seed for seed in range(60) if len(_parts_alone(short_winded, SENTENCES[0], seed)) > 1)
    chunks: list[AudioChunk] = []

    async def listen() -> None:
        async for chunk in short_winded.stream(one_turn(SENTENCES[0], "en", seed=seed)):
            chunks.append(chunk)

    with pytest.raises(CeilingReached):
        run(listen())
    assert chunks
    assert not any(chunk.is_last for chunk in chunks)


@pytest.mark.slow
def test_what_nobody_heard_yet_is_taken_back_and_split(
    short_winded: SpeechService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sentence 1 comes to the ceiling while the listener is still at sentence 0."""
    monkeypatch.setattr("serve_app.speech.script.LENGTH_MARGIN", 100.0)
    num_split = 0
    for seed in range(30):
        first = _parts_alone(short_winded, SENTENCES[0], seed)
        second = _parts_alone(short_winded, SENTENCES[1], seed, (1,))
        if len(first) != 1 or len(second) < 2:
            continue
        num_split += 1

        async def listen(seed: int = seed) -> Heard:
            chunks = []
            async with aclosing(short_winded.stream(one_turn(" ".join(SENTENCES[:2]), "en", seed=seed))) as stream:
                async for chunk in stream:
                    chunks.append(chunk)
                    if len(chunks) == 1:
                        await asyncio.sleep(0.4)  # a slow listener
                        await _idle(short_winded.engine)
            return Heard(chunks)

        heard = run(listen())
        assert largest_difference(heard.sentence(0), first[0]) < 1e-4
        assert largest_difference(heard.sentence(1), np.concatenate(second)) < 1e-4
        if num_split == 2:
            break
    assert num_split == 2


def test_model_without_an_end_fails_clearly(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Random weights never say stop: halves of halves come to the ceiling too, and that is that."""
    with serving(changed(checkpoint, max_codes=24), tmp_path) as service:
        with pytest.raises(CeilingReached) as failed:
            run(hear(service, one_turn("Yes indeed, it is so.", "en", seed=1, is_streaming=False)))
        assert "24" in failed.value.message
        run(_idle(service.engine))
