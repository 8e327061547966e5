"""Who is compared: our service, servers that stand already, and libraries that we put behind a server of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

from loadtest.server import free_port, serving, told_to_end
from loadtest.target import parse_address
from loadtest.wire import Address
from serve_app.bench.serve_process import environment
from serve_app.errors import RequestError, StartupError
from serve_app.settings import Settings

READY_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 20.0
POLL_S = 0.25
OURS, COQUI, PIPER, MELO = "ours", "coqui", "piper", "melo"


@dataclass(frozen=True)
class Peer:
    name: str
    address: Address
    voice: str = "default"


@dataclass(frozen=True)
class PeerOptions:
    """`python` is the interpreter that has Piper or MeloTTS installed; `piper_voice` the file of a voice of Piper's."""

    settings: Settings
    is_ray: bool = False
    python: str = sys.executable
    piper_voice: Path | None = None


@contextmanager
def running(asked: str, options: PeerOptions, folder: Path) -> Generator[Peer]:
    """`asked` is a name of ours, or NAME=URL, or NAME=URL=VOICE, of a server with OpenAI's route.

    Raises `RequestError` for anything else, and `StartupError` where it never gets ready.
    """
    name, is_given, rest = asked.partition("=")
    if is_given:
        url, _, voice = rest.partition("=")
        try:
            yield Peer(name, parse_address(url), voice or "default")
        except ValueError as error:
            raise RequestError(str(error), field="peers") from error
    elif name == OURS:
        with serving(options.settings, folder, is_ray=options.is_ray) as service:
            yield Peer(name, service.address)
    else:
        port = free_port()
        with _process(_command(name, options), port, options.settings, folder / f"{name}.log"):
            yield Peer(name, Address(port))


def _command(name: str, options: PeerOptions) -> Sequence[str]:
    match name:
        case "coqui":
            return (sys.executable, "-m", "loadtest.peers.coqui_api")
        case "piper":
            if options.piper_voice is None:
                raise RequestError("Piper needs a voice: --piper-voice en_US-joe-medium.onnx", field="piper_voice")
            return (options.python, "-m", "loadtest.peers.piper", str(options.piper_voice))
        case "melo":
            return (options.python, "-m", "loadtest.peers.melo")
    raise RequestError(f"{name!r} is none of {OURS}, {COQUI}, {PIPER}, {MELO} and no NAME=URL", field="peers")


@contextmanager
def _process(command: Sequence[str], port: int, settings: Settings, log_path: Path) -> Generator[None]:
    folder = Path(__file__).parents[2]  # where `loadtest` is found
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*command, str(port)], env=_environment(settings), cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
    with told_to_end():
        try:
            _wait_until_ready(process, port, log_path)
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _environment(settings: Settings) -> dict[str, str]:
    """That of ours, with as many threads."""
    threads = str(settings.num_threads or os.cpu_count())
    return {**environment(settings), "OMP_NUM_THREADS": threads}


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log_path: Path) -> None:
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        while time.monotonic() < deadline_s and process.poll() is None:
            with suppress(httpx2.TransportError):
                if client.get("/health").status_code == 200:
                    return
            time.sleep(POLL_S)
    said = "\n".join(log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-10:])
    raise StartupError(f"{log_path.stem} was not ready, or ended. Its last words:\n{said}")
