"""What the documents say: the settings table is the program's own, and the README's commands do what they promise."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
import soundfile
from click import unstyle
from typer.main import get_command

from serve_app.cli import app, metrics_table, settings_table
from serve_app.text.reading.examples import readings_table
from tests.voices.recordings import recording_path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BASE_URL = "http://127.0.0.1:8100"
INSTALLING = ("make serve", "make test")  # the README's promises; CI itself keeps the second


PAGES = {"README.md": README} | {
    f"docs/{page.name}": page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md"))
}


def blocks(language: str, text: str = README) -> list[str]:
    """The code blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def examples(language: str, start: str) -> list[Any]:
    """Blocks of all pages that begin so, each with its page's name."""
    found = [(name, block) for name, text in PAGES.items() for block in blocks(language, text)]
    return [
        pytest.param(block, id=f"{name}-{n}", marks=() if name == "README.md" else pytest.mark.slow)
        for n, (name, block) in enumerate(found)
        if block.startswith(start)
    ]


@pytest.fixture(scope="module")
def service_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "XTTS_VOICE_DIR": str(tmp_path_factory.mktemp("voices")), "XTTS_PORT": str(port)}
    command = [sys.executable, "-m", "serve_app", "serve", "--local"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", timeout_s: float = 120.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            if httpx.get(f"{url}/health/ready", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{url}/health/ready was not 200 in {timeout_s} s (exit code {process.poll()})")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the reader's recording in it."""
    shutil.copy(recording_path(), tmp_path / "my-voice.wav")
    return tmp_path


def test_settings_table_is_what_the_program_prints() -> None:
    assert settings_table() in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def test_readings_table_is_what_the_program_prints() -> None:
    assert readings_table() in (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")


def test_metrics_table_is_what_the_program_prints() -> None:
    assert metrics_table() in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", examples("sh", "curl"))
def test_curl_of_a_page_does_what_it_says(command: str, service_url: str, folder: Path) -> None:
    """Every `curl` of it asks for a failure to be one, by -f; a file that it writes is speech."""
    assert all("curl -f" in line for line in command.splitlines() if "curl " in line)
    command = command.replace(BASE_URL, service_url)
    subprocess.run(["bash", "-eo", "pipefail", "-c", command], cwd=folder, check=True, timeout=120)
    for name in re.findall(r"-o (\S+)", command):
        assert_speech(folder / name)


@pytest.mark.parametrize("code", examples("python", ""))
def test_python_of_a_page_does_what_it_says(code: str, service_url: str, folder: Path) -> None:
    code = code.replace(BASE_URL, service_url).replace(
        BASE_URL.replace("http", "ws"), service_url.replace("http", "ws")
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=120)
    for path in folder.iterdir():
        assert_speech(path)


def assert_speech(path: Path) -> None:
    if path.suffix in (".srt", ".vtt", ".json", ".zip"):
        assert path.stat().st_size > 0
        return
    with av.open(str(path)) as container:
        (stream,) = container.streams.audio
        assert stream.sample_rate in (24_000, 48_000) or path.name == "my-voice.wav"
        assert sum(frame.samples for frame in container.decode(stream)) > 12_000


def test_readme_say_writes_a_wav(folder: Path) -> None:
    (command,) = [block for block in blocks("sh") if " say " in block]
    command = command.replace(".venv/bin/python", sys.executable)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XTTS_VOICE_DIR": str(folder / "voices")}
    subprocess.run(["bash", "-ec", command], cwd=folder, env=environment, check=True, timeout=120)
    assert soundfile.info(folder / "hello.wav").samplerate == 24_000


def test_readme_shell_blocks_are_all_tested() -> None:
    """A new block is either run above or one of the two promises."""
    untested = [block for block in blocks("sh") if not block.startswith("curl") and " say " not in block]
    assert [block for block in untested if not block.strip().endswith(INSTALLING)] == []


@pytest.mark.parametrize("target", re.findall(r"make ([a-z-]+)", README))
def test_readme_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_command_explains_itself() -> None:
    command = get_command(app)
    for name, each in command.commands.items():  # type: ignore[attr-defined]
        assert each.help, name
        assert unstyle(each.help)[0].isupper(), name


@pytest.mark.parametrize("page", re.findall(r"\]\((docs/[^)]+)\)", README))
def test_readme_link_leads_somewhere(page: str) -> None:
    assert (ROOT / page.partition("#")[0]).is_file()
