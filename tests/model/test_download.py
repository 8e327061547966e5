import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from huggingface_hub import constants

from serve_app.errors import CheckpointError, LicenceNotAccepted
from serve_app.model.download import FILES, fetch_checkpoint, is_complete
from serve_app.model.source import check_licence

LARGE = "model.pth"
CONTENTS = {
    "config.json": b'{"model": "xtts"}',
    "vocab.json": b"{}" * 50,
    "speakers_xtts.pth": bytes(range(256)) * 40,
    LARGE: bytes(i * 7 % 251 for i in range(300_000)),
}


@dataclass
class Hub:
    """What the stand-in for the hub serves, how it misbehaves, and what it was asked."""

    endpoint: str = ""
    contents: dict[str, bytes] = field(default_factory=lambda: dict(CONTENTS))
    etags: dict[str, str] = field(default_factory=dict)
    cut_after_bytes: int | None = None  # the next body of the large file breaks off here, the one after fails
    is_broken: bool = False
    ranges: list[str | None] = field(default_factory=list)  # of each GET of the large file
    num_requests: int = 0

    def etag(self, name: str) -> str:
        content = self.contents[name]
        large = hashlib.sha256(content).hexdigest()
        small = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        return self.etags.get(name, large if name.endswith(".pth") else small)


class HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ClassVar[Hub]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        hub = self.hub
        hub.num_requests += 1
        name, asked = self.path.rpartition("/resolve/main/")[2], self.headers.get("Range")
        if name not in hub.contents:
            self._send(404, {"X-Error-Code": "EntryNotFound"}, b"")
            return
        if with_body and name == LARGE:
            hub.ranges.append(asked)
            if hub.is_broken:
                self._send(500, {}, b"")
                return
        content, start = hub.contents[name], int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        headers = {
            "ETag": f'"{hub.etag(name)}"',
            "X-Repo-Commit": "c" * 40,
            "Content-Length": str(len(content) - start),
        }
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:] if with_body else b""
        if with_body and name == LARGE and hub.cut_after_bytes is not None:
            body = body[: hub.cut_after_bytes]
            hub.cut_after_bytes, hub.is_broken, self.close_connection = None, True, True
        self._send(206 if asked else 200, headers, body)

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 16_384)  # what is lost at most when a fetch breaks off
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (HubHandler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(hub: Hub, directory: Path) -> list[str]:
    lines: list[str] = []
    fetch_checkpoint(directory, lines.append, endpoint=hub.endpoint)
    return lines


def test_fetch_brings_every_file_and_says_so(hub: Hub, tmp_path: Path) -> None:
    lines = fetch(hub, tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == CONTENTS
    assert is_complete(tmp_path)
    assert list(tmp_path.glob("*.partial")) == []
    assert any("fetching model.pth (300.0 kB)" in line for line in lines)
    assert any("verifying model.pth" in line for line in lines)


def test_fetch_again_needs_no_network(hub: Hub, tmp_path: Path) -> None:
    fetch(hub, tmp_path)
    num_requests = hub.num_requests
    assert fetch(hub, tmp_path) == []
    assert hub.num_requests == num_requests


def test_interrupted_fetch_is_continued(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after_bytes = 120_000
    with pytest.raises(CheckpointError, match="continued next time"):
        fetch(hub, tmp_path)
    assert not is_complete(tmp_path)
    assert not (tmp_path / LARGE).exists()
    (partial,) = tmp_path.glob(f"{LARGE}.*.partial")
    num_have = partial.stat().st_size
    assert 100_000 < num_have <= 120_000

    hub.is_broken = False
    lines = fetch(hub, tmp_path)
    assert hub.ranges[-1] == f"bytes={num_have}-"
    assert any("continued at" in line for line in lines)
    assert (tmp_path / LARGE).read_bytes() == CONTENTS[LARGE]


def test_interrupted_fetch_of_another_version_starts_anew(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after_bytes = 120_000
    with pytest.raises(CheckpointError):
        fetch(hub, tmp_path)
    hub.is_broken, hub.contents[LARGE] = False, bytes(reversed(CONTENTS[LARGE]))
    fetch(hub, tmp_path)
    assert hub.ranges[-1] is None
    assert (tmp_path / LARGE).read_bytes() == hub.contents[LARGE]


@pytest.mark.parametrize("name", [LARGE, "vocab.json"])
def test_wrong_checksum_is_refused(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.etags[name] = "0" * len(hub.etag(name))
    with pytest.raises(CheckpointError, match=f"{name} arrived damaged"):
        fetch(hub, tmp_path)
    assert not (tmp_path / name).exists()
    assert list(tmp_path.glob("*.partial")) == []
    assert not is_complete(tmp_path)


def test_file_without_checksum_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.etags["config.json"] = "weak"
    with pytest.raises(CheckpointError, match=r"no checksum or size for config\.json"):
        fetch(hub, tmp_path)


def test_file_the_hub_lacks_is_named(hub: Hub, tmp_path: Path) -> None:
    del hub.contents["speakers_xtts.pth"]
    with pytest.raises(CheckpointError, match=r"no whole XTTS v2.*speakers_xtts\.pth"):
        fetch(hub, tmp_path)


def test_file_cut_off_after_it_was_verified_is_fetched_again(hub: Hub, tmp_path: Path) -> None:
    fetch(hub, tmp_path)
    (tmp_path / LARGE).write_bytes(b"short")
    fetch(hub, tmp_path)
    assert (tmp_path / LARGE).read_bytes() == CONTENTS[LARGE]


def test_too_small_a_disk_is_refused_before_anything_is_fetched(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1_000_000, 900_000, 100_000))
    with pytest.raises(CheckpointError, match=r"310\.4 kB are still to come, and 100\.0 kB are free.*XTTS_MODEL_CACHE"):
        fetch(hub, tmp_path)
    assert hub.ranges == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_disk_that_fills_up_on_the_way_is_named(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / f"{LARGE}.{hub.etag(LARGE)[:16]}.partial").symlink_to("/dev/full")
    with pytest.raises(CheckpointError, match=r"cannot be stored in .*No space left.*XTTS_MODEL_CACHE"):
        fetch(hub, tmp_path)
    assert not is_complete(tmp_path)


def test_directory_that_cannot_be_made_is_named(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"cannot be stored in .*file/cache: .*XTTS_MODEL_CACHE"):
        fetch(hub, tmp_path / "file" / "cache")


def test_no_network_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"could not be fetched.*HF_ENDPOINT.*XTTS_MODEL"):
        fetch_checkpoint(tmp_path, lambda line: None, endpoint="http://127.0.0.1:9")


def test_licence_must_be_accepted() -> None:
    check_licence(True)
    with pytest.raises(LicenceNotAccepted, match=r"CPML.*XTTS_ACCEPT_CPML=1"):
        check_licence(False)


@pytest.mark.parametrize("manifest", ["", "{", "[]", "null", '{"config.json": 5}', '{"config.json": {}}'])
def test_manifest_that_was_cut_off_is_no_complete_download(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "verified.json").write_text(manifest, encoding="utf-8")
    assert not is_complete(tmp_path)


def run_download(hub: Hub, model_cache: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "XTTS_MODEL_CACHE": str(model_cache), **settings}
    command = [sys.executable, "-m", "serve_app", "download"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_command_fills_the_cache_that_the_service_reads(hub: Hub, tmp_path: Path) -> None:
    finished = run_download(hub, tmp_path, XTTS_MODEL="xtts_v2", XTTS_ACCEPT_CPML="1")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert is_complete(tmp_path / "xtts_v2")


def test_command_asks_the_hub_for_nothing_without_consent_or_need(hub: Hub, tmp_path: Path) -> None:
    refused = run_download(hub, tmp_path, XTTS_MODEL="xtts_v2")
    assert refused.returncode == 1
    assert "XTTS_ACCEPT_CPML=1" in refused.stderr
    assert "mini needs no download" in run_download(hub, tmp_path, XTTS_MODEL="mini").stdout
    assert hub.num_requests == 0
