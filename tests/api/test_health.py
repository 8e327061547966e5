"""The three health routes, before and after the backend can speak."""

import pytest

from tests.api.conftest import Server
from tests.fakes import LANGUAGES


def test_health_as_an_existing_client_reads_it(server: Server) -> None:
    answer = server.client.get("/health")
    assert answer.status_code == 200
    found = answer.json()
    assert (found["status"], found["device"], found["model"]) == ("ok", "cpu", "fake")
    assert found["supported_languages"] == list(LANGUAGES)


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
def test_health_is_503_until_the_backend_is_ready(server: Server, path: str) -> None:
    server.backend.configure(is_ready=False)
    answer = server.client.get(path)
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    server.backend.configure(is_ready=True)
    assert server.client.get(path).status_code == 200


def test_live_does_not_ask_the_backend(server: Server) -> None:
    server.backend.configure(is_ready=False)
    assert server.client.get("/health/live").status_code == 200


@pytest.mark.parametrize("route", ["/synthesize_base64", "/v1/audio/speech"])
def test_speech_is_503_until_the_backend_is_ready(server: Server, route: str) -> None:
    server.backend.configure(is_ready=False)
    answer = server.client.post(route, json={"text": "x", "input": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
