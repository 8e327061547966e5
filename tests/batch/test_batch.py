"""Files of texts into audio files: what is read, what is left alone, what fails; and a book as one file."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import av
import pytest

from serve_app.batch.lines import BatchOptions, Line, read_lines
from serve_app.batch.run import BatchOutcome, run_batch
from serve_app.batch.speakers import Speaker, _LocalSpeaker, remote_speaker
from serve_app.errors import RequestError, SynthesisFailed
from serve_app.settings import Settings
from serve_app.speech.request import AudioChunk, SpeechRequest
from tests.api.conftest import running
from tests.fakes import FakeBackend

SENTENCE = "Nobody has ever counted these stones. "


@pytest.fixture
def options(tmp_path: Path) -> BatchOptions:
    return BatchOptions(tmp_path, "mp3", "default", "en", 1.0, 3, 2)


def written(tmp_path: Path, name: str, content: str) -> Path:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


def test_each_kind_of_file_is_read(tmp_path: Path, options: BatchOptions) -> None:
    text = written(tmp_path, "a.txt", "One.\n\n  Two.  \r\n")
    table = written(tmp_path, "a.csv", '\ufeffid,text,voice,speed\nx,One.,anna,1.5\ny,"Two, too.",,\n')
    objects = written(tmp_path, "a.jsonl", '{"text": "One.", "language": "de"}\n\n{"id": 7, "text": "Two."}\n')
    assert [(line.id, line.text) for line in read_lines(text, options)] == [("00001", "One."), ("00003", "Two.")]
    assert list(read_lines(table, options)) == [
        Line("x", "One.", "anna", "en", 1.5),
        Line("y", "Two, too.", "default", "en", 1.0),
    ]
    assert [(line.id, line.language) for line in read_lines(objects, options)] == [("00001", "de"), ("7", "en")]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.docx", "x", "no .txt"),
        ("a.csv", "words\nx\n", "line 2"),
        ("a.csv", "id,text\n../x,y\n", "file's name"),
        ("a.jsonl", '{"text": "x"}\n{"text": 1}\n', "line 2"),
        ("a.jsonl", "{\n", "line 1"),
        ("a.jsonl", "[1]\n", "line 1"),
        ("a.jsonl", '{"text": "x", "speed": 3}\n', "0.5 to 2.0"),
    ],
)
def test_mistake_in_a_file_is_told(tmp_path: Path, options: BatchOptions, name: str, content: str, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        list(read_lines(written(tmp_path, name, content), options))


def test_missing_file_is_told(tmp_path: Path, options: BatchOptions) -> None:
    with pytest.raises(RequestError, match="cannot read"):
        list(read_lines(tmp_path / "none.txt", options))


def speak(speaker: Speaker, path: Path, options: BatchOptions) -> BatchOutcome:
    return asyncio.run(run_batch(read_lines(path, options), speaker, options, lambda line, outcome: None))


def test_what_is_there_is_left_alone(tmp_path: Path, options: BatchOptions) -> None:
    path, backend = written(tmp_path, "a.txt", "One.\nTwo.\nThree.\n"), FakeBackend()
    (tmp_path / "00002.mp3").write_bytes(b"mine")
    outcome = speak(_LocalSpeaker(backend), path, options)
    assert (outcome.num_spoken, outcome.num_there, outcome.failures) == (2, 1, ())
    assert sorted(request.turns[0].text for request in backend.requests) == ["One.", "Three."]
    assert (tmp_path / "00002.mp3").read_bytes() == b"mine"
    with av.open(str(tmp_path / "00003.mp3")) as container:
        assert container.streams.audio[0].sample_rate == 24_000


def test_text_that_fails_is_told_and_others_are_spoken(tmp_path: Path, options: BatchOptions) -> None:
    class Picky(FakeBackend):
        def stream(self, request: SpeechRequest) -> AsyncGenerator[AudioChunk]:
            self.configure(error=SynthesisFailed("no") if "Two" in request.turns[0].text else None)
            return super().stream(request)

    path = written(tmp_path, "a.txt", "One.\nTwo.\nThree.\n")
    outcome = speak(_LocalSpeaker(Picky()), path, dataclasses.replace(options, num_parallel=1))
    assert (outcome.num_spoken, outcome.failures) == (2, ("00002: no",))
    assert sorted(each.name for each in tmp_path.glob("*.mp3")) == ["00001.mp3", "00003.mp3"]


def read_book(speaker: Speaker, options: BatchOptions, tell: Callable[[int, int], None]) -> Path:
    line = Line("book", SENTENCE * 60, "default", "en", 1.0)
    return asyncio.run(speaker.speak_book(line, options, tell))


def test_book_is_one_file_with_captions(tmp_path: Path, options: BatchOptions) -> None:
    told: list[tuple[int, int]] = []
    backend = FakeBackend()
    path = read_book(_LocalSpeaker(backend), options, lambda *progress: told.append(progress))
    assert len(backend.requests) == 3 and told[-1] == (len(SENTENCE) * 60, len(SENTENCE) * 60)
    assert path.name == "book.mp3" and (tmp_path / "book.srt").read_text().count("-->") == 3
    assert not list((tmp_path / ".parts").iterdir())


def test_service_that_runs_speaks_the_same(tmp_path: Path, options: BatchOptions) -> None:
    async def ask(url: str, path: Path, output: BatchOptions) -> BatchOutcome:
        async with remote_speaker(url, None) as speaker:
            line = Line("book", SENTENCE * 60, "default", "en", 1.0)
            await speaker.speak_book(line, output, lambda done, total: None)
            return await run_batch(read_lines(path, output), speaker, output, lambda line, outcome: None)

    path = written(tmp_path, "a.txt", "One.\nTwo.\n")
    speak(_LocalSpeaker(FakeBackend()), path, options)
    read_book(_LocalSpeaker(FakeBackend()), options, lambda done, total: None)
    remote = dataclasses.replace(options, output=tmp_path / "remote")
    remote.output.mkdir()
    with running(Settings(job_dir=tmp_path / "jobs")) as server:
        outcome = asyncio.run(ask(server.url, path, remote))
    assert outcome.num_spoken == 2
    for name in ("00001.mp3", "00002.mp3", "book.mp3", "book.srt"):
        assert (tmp_path / name).read_bytes() == (remote.output / name).read_bytes(), name
