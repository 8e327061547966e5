"""From the first moment to the last: unready until warm, drained when told to stop, refused with a reason."""

import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from serve_app.local import bound_socket
from serve_app.settings import Settings
from tests.end_to_end.asking import REPORT, SPEECH, TEXTS, num_codes, num_samples
from tests.end_to_end.serving import READY_TIMEOUT_S, Server, alive_after, descendants, run_command, starting

SENTENCES = 12
TEXT = f"{TEXTS['en']}. " * SENTENCES


def statuses(client: httpx.Client) -> tuple[int, int, int]:
    """Of live, ready and a request for speech; readiness is asked last, so that 503 there holds for the others too."""
    live = client.get("/health/live").status_code
    speech = client.post(REPORT, json={"text": "Hello", "lang": "en"}).status_code
    return live, client.get("/health/ready").status_code, speech


def seen_until_ready(server: Server) -> list[tuple[int, int, int]]:
    """Every answer from the first that the socket gives until the service is ready."""
    seen: list[tuple[int, int, int]] = []
    deadline_s = time.perf_counter() + READY_TIMEOUT_S
    with server.client() as client:
        while time.perf_counter() < deadline_s:
            with suppress(httpx.ConnectError):
                seen.append(statuses(client))
                if seen[-1][1] == 200:
                    return seen
            time.sleep(0.02)
    pytest.fail(f"never ready:\n{server.log}")


def test_service_is_live_at_once_ready_when_warm_and_drained_at_the_end(tmp_path: Path) -> None:
    with starting(tmp_path, "--local") as server:
        *before, _, ready = seen_until_ready(server)
        assert len(before) > 5 and set(before) == {(200, 503, 503)}
        assert ready[1] == 200
        assert "warming up" in server.log
        with server.client() as client:
            assert statuses(client) == (200, 200, 200)
            body = {"input": TEXT, "language": "en", "response_format": "pcm"}
            with client.stream("POST", SPEECH, json=body) as answer:
                blocks = answer.iter_raw()
                pcm = next(blocks)
                server.process.terminate()
                pcm += b"".join(blocks)
        assert len(pcm) == 2 * SENTENCES * num_samples(num_codes(f"{TEXTS['en']}.", "en"))
        assert server.process.wait(20.0) == 0


@pytest.mark.parametrize(
    ("settings", "code", "advice"),
    [
        ({"XTTS_MODEL": "nonsense"}, "invalid_checkpoint", "Set XTTS_MODEL to one of these"),
        ({"XTTS_MODEL": "xtts_v2"}, "licence_not_accepted", "set XTTS_ACCEPT_CPML=1"),
        ({"XTTS_MAX_SLOTS": "many"}, "invalid_settings", "max_slots"),
    ],
)
def test_local_start_is_refused_with_what_to_do(
    tmp_path: Path, settings: dict[str, str], code: str, advice: str
) -> None:
    done = run_command(tmp_path, "serve", "--local", "--port", "0", **settings)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith(f"{code}: ") and advice in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("mode", [["--local"], []])
def test_taken_port_is_refused(tmp_path: Path, mode: list[str]) -> None:
    with bound_socket(Settings(host="127.0.0.1", port=0)) as taken:
        taken.listen()
        done = run_command(tmp_path, "serve", *mode, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "choose another XTTS_PORT" in done.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.ray
def test_start_on_ray_is_refused_with_what_to_do(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "vocab.json", "model.safetensors"):
        (model / name).write_text("{}", encoding="utf-8")
    with starting(tmp_path, expected_status=1, XTTS_MODEL=str(model)) as server:
        family: list[psutil.Process] = []
        while server.process.poll() is None:
            family = descendants(server.process) or family
            time.sleep(0.1)
        assert family, "Ray was never started"
        assert alive_after(family, 10.0) == []
    refusal = server.log.splitlines()[-1]
    assert "model.safetensors is damaged or cut off" in refusal and "Copy it again." in refusal
