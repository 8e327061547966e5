"""A batch: files whole or not at all, several at once, what is there left alone, failures listed."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serve_app.audio.pcm import Recording
from serve_app.batch import speakers
from serve_app.batch.progress import Progress
from serve_app.batch.run import ERRORS_FILE, Batch, BatchOptions, Outcome, speak_book
from serve_app.batch.speakers import Asked, LocalSpeaker
from serve_app.batch.texts import BadLine, BatchText
from serve_app.errors import Overloaded, StorageFailed, SynthesisFailed, UnsupportedLanguage
from serve_app.jobs.job import Part, PartFacts, Sentence
from tests.fakes import FakeBackend

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Recorder:
    """A speaker that says a tenth of a second for each character, and what it was asked."""

    def __init__(self, fails_on: str = "") -> None:
        self.asked: list[Asked] = []
        self.num_open = self.most_open = 0
        self._fails_on = fails_on

    async def speak(self, asked: Asked) -> Part:
        self.asked.append(asked)
        self.num_open += 1
        self.most_open = max(self.most_open, self.num_open)
        await asyncio.sleep(0.002)
        self.num_open -= 1
        if self._fails_on and self._fails_on in asked.text:
            raise SynthesisFailed("It rambles.")
        samples = np.full(len(asked.text) * 2_400, (asked.seed % 1_000) / 2_000, np.float32)
        return Part(samples, PartFacts(len(samples), (Sentence(asked.text, 0.0, len(asked.text) / 10),)))


def texts(number: int) -> list[BatchText | BadLine]:
    return [BatchText(line, f"{line:06}", f"Text {line}.") for line in range(1, number + 1)]


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def spoken(speaker: Recorder, directory: Path, of: list[BatchText | BadLine], **options: object) -> Outcome:
    chosen = BatchOptions(directory, **{"response_format": "wav", **options})  # type: ignore[arg-type]
    return await Batch(speaker, chosen, Progress()).run(of)


async def test_each_text_becomes_a_whole_file(tmp_path: Path) -> None:
    speaker = Recorder()
    outcome = await spoken(speaker, tmp_path, texts(10), num_parallel=3)
    assert (outcome.num_spoken, outcome.num_failed) == (10, 0) and speaker.most_open == 3
    assert files(tmp_path) == [f"{line:06}.wav" for line in range(1, 11)]
    info = soundfile.info(tmp_path / "000010.wav")
    assert (info.frames, info.samplerate) == (len("Text 10.") * 2_400, 24_000)
    assert len({asked.seed for asked in speaker.asked}) == 10


async def test_text_chooses_its_voice_language_and_speed(tmp_path: Path) -> None:
    speaker = Recorder()
    own = BatchText(1, "a", "Hallo.", "anna", "de", 0.5)
    await spoken(speaker, tmp_path, [own, BatchText(2, "b", "Hello.")], voice="ben", language="en", num_parallel=1)
    assert [(each.voice, each.language, each.speed) for each in speaker.asked] == [
        ("anna", "de", 0.5),
        ("ben", "en", 1),
    ]


async def test_second_run_speaks_only_what_is_not_there(tmp_path: Path) -> None:
    await spoken(Recorder(), tmp_path, texts(3))
    before = (tmp_path / "000001.wav").read_bytes()
    speaker = Recorder()
    outcome = await spoken(speaker, tmp_path, texts(5))
    assert (outcome.num_skipped, outcome.num_spoken, len(speaker.asked)) == (3, 2, 2)
    assert (await spoken(Recorder(), tmp_path, texts(5), is_overwriting=True, seed=2)).num_spoken == 5
    assert (tmp_path / "000001.wav").read_bytes() != before


async def test_failed_text_is_listed_and_leaves_no_file(tmp_path: Path) -> None:
    of = [*texts(2), BatchText(3, "bad", "This fails."), BadLine(4, "it is no JSON object")]
    outcome = await spoken(Recorder("fails"), tmp_path, of)
    assert (outcome.num_spoken, outcome.num_failed) == (2, 2)
    listed = [json.loads(line) for line in (tmp_path / ERRORS_FILE).read_text().splitlines()]
    assert {"line": 3, "id": "bad", "code": "synthesis_failed", "message": "It rambles."} in listed
    assert {"line": 4, "id": None, "code": "bad_line", "message": "it is no JSON object"} in listed
    assert len(files(tmp_path)) == 3
    assert (await spoken(Recorder(), tmp_path, of[:3])).num_spoken == 1
    assert not (tmp_path / ERRORS_FILE).exists()


async def test_long_text_is_spoken_in_parts(tmp_path: Path) -> None:
    speaker = Recorder()
    await spoken(speaker, tmp_path, [BatchText(1, "a", "A sentence. " * 200)])
    assert len(speaker.asked) == 3 and all(len(asked.text) <= 1_000 for asked in speaker.asked)
    assert soundfile.info(tmp_path / "a.wav").frames == 2_400 * 2_400


async def test_no_more_texts_are_read_than_are_spoken(tmp_path: Path) -> None:
    speaker, num_read = Recorder(), 0

    def many():  # type: ignore[no-untyped-def]  # noqa: ANN202
        nonlocal num_read
        for each in texts(50):
            num_read += 1
            assert num_read <= len(speaker.asked) + 4 + 1
            yield each

    assert (await Batch(speaker, BatchOptions(tmp_path, "wav"), Progress()).run(many())).num_spoken == 50


async def test_directory_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="another place"):
        await spoken(Recorder(), tmp_path / "missing", texts(3))


async def test_book_goes_on_where_it_stopped_and_sounds_the_same(tmp_path: Path) -> None:
    book = "A sentence of the book. " * 100 + "Here it fails. " + "And goes on then. " * 100
    options = BatchOptions(tmp_path, "flac", num_parallel=1)
    with pytest.raises(SynthesisFailed):
        await speak_book(book, "torn", Recorder("fails"), options, Progress())
    assert not (tmp_path / "torn.flac").exists()
    speaker, whole = Recorder(), Recorder()
    path, outcome = await speak_book(book, "torn", speaker, options, Progress())
    await speak_book(book, "whole", whole, options, Progress())
    assert 0 < len(speaker.asked) < len(whole.asked) and outcome.audio_s == len(book) / 10
    assert path.read_bytes() == (tmp_path / "whole.flac").read_bytes()
    assert files(tmp_path) == ["torn.flac", "torn.srt", "whole.flac", "whole.srt"]
    assert (tmp_path / "torn.srt").read_text() == (tmp_path / "whole.srt").read_text()
    assert (await speak_book(book, "torn", speaker, options, Progress()))[1].num_skipped == 1


async def test_local_speaker_finds_the_language_and_waits_for_a_busy_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speakers, "FIRST_DELAY_S", 0.001)
    backend = FakeBackend()
    backend.configure(error=Overloaded("Full."))
    reference = Recording(np.ones(100, np.float32), 24_000)
    speaker = LocalSpeaker(backend, "me.wav", reference)
    speaking = asyncio.create_task(
        speaker.speak(Asked("Wie geht es dir heute, mein Freund?", "auto", "me.wav", 1.0, 3))
    )
    while len(backend.requests) < 3:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    backend.configure(error=None)
    assert len((await speaking).samples) == 35 * 1_200
    (turn,) = backend.requests[-1].turns
    assert (turn.language, turn.voice.reference, backend.requests[-1].seed) == ("de", reference, 3)
    await speaker.speak(Asked("Hello.", "en", "anna", 1.0, 3))
    assert backend.requests[-1].turns[0].voice.reference is None
    with pytest.raises(UnsupportedLanguage):
        await speaker.speak(Asked("Hello.", "xx", "anna", 1.0, 3))
