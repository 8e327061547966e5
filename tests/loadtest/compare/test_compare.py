"""Peers by turns: servers in this process, libraries behind a server of their own, and ours for real."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner, Result

from loadtest.__main__ import app
from loadtest.compare.peer import PeerOptions, running
from loadtest.server import free_port
from serve_app.errors import RequestError, StartupError
from serve_app.settings import make_settings
from tests.loadtest.faulty import Faults, faulty_service

ROOT = Path(__file__).parents[3]
TOY = """
from loadtest.peers.answering import answer, port_asked

def speak(text, language):
    if text == "no":
        raise ValueError("not that")
    return bytes(2 * 240 * len(text)), 24_000

answer(speak, port_asked(), is_one_at_a_time=True)
"""


def invoke(*options: str) -> Result:
    return CliRunner().invoke(app, ["compare", *options])


@contextmanager
def toy_peer() -> Generator[str]:
    """The address of a library that speaks a hundredth of a second a character."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", TOY, str(port)], cwd=ROOT)
    try:
        with httpx2.Client(trust_env=False, transport=httpx2.HTTPTransport(retries=20)) as client:
            client.get(f"http://127.0.0.1:{port}/health").raise_for_status()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_servers_are_compared_by_turns(tmp_path: Path) -> None:
    with faulty_service(Faults(), chunk_delay_s=0.002) as fast, faulty_service(Faults(), chunk_delay_s=0.02) as slow:
        names = f"fast={fast.address},slow={slow.address}=anna"
        found = invoke("--peers", names, "--at-once", "1,2", "--texts", "2", "--json", str(tmp_path / "found.json"))
    assert found.exit_code == 0, found.output
    told = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert {name: [each["level"] for each in rounds] for name, rounds in told["rounds"].items()} == {
        "fast": [1, 1, 2, 2],
        "slow": [1, 1, 2, 2],
    }
    (row,) = (line for line in found.output.splitlines() if line.startswith("| 1 | fast |"))
    assert float(row.split("|")[4].removesuffix(" × ")) > 2.0
    assert slow.engine.requests[0].turns[0].voice.name == "anna"


def test_library_behind_a_server_answers_in_its_manner() -> None:
    with toy_peer() as url:
        found = invoke("--peers", f"toy={url}", "--at-once", "1", "--texts", "3", "--rounds", "1")
        assert found.exit_code == 0, found.output
        with httpx2.Client(base_url=url, trust_env=False) as client:
            answer = client.post("/v1/audio/speech", json={"input": "no"})
    assert answer.status_code == 500 and answer.json()["error"]["message"] == "ValueError: not that"


def test_peer_that_fails_is_told_and_ends_with_status_1() -> None:
    with faulty_service(Faults(lambda number: number == 2, is_cut=True)) as service:
        found = invoke("--peers", f"it={service.address}", "--at-once", "1", "--texts", "3", "--rounds", "1")
    assert found.exit_code == 1 and "1 failed: cut" in found.output


def test_peer_that_cannot_speak_is_told_at_once() -> None:
    found = invoke("--peers", "it=http://127.0.0.1:1", "--at-once", "1")
    assert isinstance(found.exception, StartupError) and "does not speak" in str(found.exception)


@pytest.mark.parametrize("name", ["espeak", "it=ftp://host", "piper"])
def test_unknown_peers_are_refused(name: str, tmp_path: Path) -> None:
    options = PeerOptions(make_settings(model="synthetic:tiny"))
    with pytest.raises(RequestError), running(name, options, tmp_path):
        pass


@pytest.mark.skipif(importlib.util.find_spec("piper") is not None, reason="piper-tts is installed here")
def test_peer_that_is_not_installed_says_what_is_missing(tmp_path: Path) -> None:
    options = PeerOptions(make_settings(model="synthetic:tiny"), piper_voice=Path("voice.onnx"))
    with pytest.raises(StartupError, match="No module named 'piper'"), running("piper", options, tmp_path):
        pass


@pytest.mark.slow
def test_ours_beside_coqui(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XTTS_DTYPE", "float32")  # whose kernels need no compiling
    found = invoke("--model", "synthetic:tiny", "--at-once", "1,2", "--texts", "2", "--rounds", "1")
    assert found.exit_code == 0, found.output
    rows = [line.split("|")[2].strip() for line in found.output.splitlines() if line.startswith(("| 1 |", "| 2 |"))]
    assert rows == ["ours", "coqui", "ours", "coqui"]
