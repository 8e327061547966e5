"""Request ids, and what an ingress process must not load."""

import subprocess
import sys

import pytest

from tests.api.conftest import Server


def test_request_id_of_the_client_is_returned(server: Server) -> None:
    assert server.client.get("/health", headers={"x-request-id": "job-7.a"}).headers["x-request-id"] == "job-7.a"


@pytest.mark.parametrize("offered", ["", "a b", "x" * 129, "<script>", "é".encode()])
def test_request_id_that_is_not_sane_is_replaced(server: Server, offered: str | bytes) -> None:
    answer = server.client.get("/health", headers={"x-request-id": offered})
    assert len(answer.headers["x-request-id"]) == 32


def test_request_ids_are_returned_with_errors_and_differ(server: Server) -> None:
    ids = {server.client.post("/synthesize_base64", content=b"{").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


def test_app_imports_neither_torch_nor_ray() -> None:
    code = "import sys, serve_app.api.app; print([name for name in ('torch', 'ray', 'TTS') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
