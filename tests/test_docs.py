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

import httpx
import pytest
import soundfile
from click import unstyle
from typer.main import get_command

from serve_app.cli import app, metrics_table, settings_table
from tests.voices.recordings import recording_path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BASE_URL = "http://127.0.0.1:8100"
INSTALLING = ("make serve", "make test")  # the README's promises; CI itself keeps the second


def blocks(language: str) -> list[str]:
    """The README's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


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


def test_metrics_table_is_what_the_program_prints() -> None:
    assert metrics_table() in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [block for block in blocks("sh") if block.startswith("curl")])
def test_readme_curl_gives_speech(command: str, service_url: str, folder: Path) -> None:
    subprocess.run(["bash", "-ec", command.replace(BASE_URL, service_url)], cwd=folder, check=True, timeout=120)
    samples, sample_rate_hz = soundfile.read(folder / "hello.mp3")
    assert sample_rate_hz == 24_000
    assert len(samples) > 12_000


def test_readme_python_gives_a_wav(service_url: str, folder: Path) -> None:
    (block,) = blocks("python")
    code = block.replace(BASE_URL, service_url)
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, timeout=120)
    assert soundfile.info(folder / "hello.wav").samplerate == 24_000


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
    assert (ROOT / page).is_file()
