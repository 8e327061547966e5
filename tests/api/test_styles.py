import base64
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from serve_app.settings import Settings
from tests.api.conftest import Server, running
from tests.api.test_voices import ADMIN_LINE, ANNA_KEY, ANNA_LINE, BEN_KEY, BEN_LINE, WAV, code_of, make

VOICES, STYLES = "/v1/audio/voices", "/v1/audio/styles"
FILES = [("audio", ("a.wav", WAV))]


def test_style_of_a_voice_is_put_listed_replaced_and_deleted(server: Server) -> None:
    make(server.client)
    for description in ("cheerful", "merry"):
        answer = server.client.put(f"{VOICES}/clara/styles/happy", data={"description": description}, files=FILES)
        assert (answer.status_code, answer.json()["description"]) == (200, description)
    assert answer.json()["warnings"] == ["a style"]
    assert server.client.get(f"{VOICES}/clara").json()["styles"] == ["happy"]
    assert server.client.get(VOICES).json()["voices"][-1]["styles"] == ["happy"]
    assert server.client.get(f"{VOICES}/clara/styles").json()["styles"] == [answer.json()]
    assert server.client.delete(f"{VOICES}/clara/styles/happy").status_code == 204
    assert code_of(server.client.delete(f"{VOICES}/clara/styles/happy"))[:2] == (404, "style_not_found")
    assert server.client.get(f"{VOICES}/clara").json()["styles"] == []


def test_style_for_all_voices_needs_consent(server: Server) -> None:
    recording = base64.b64encode(WAV).decode()
    assert code_of(server.client.put(f"{STYLES}/whisper", json={"audio_b64": recording}))[1] == "consent_missing"
    answer = server.client.put(f"{STYLES}/whisper", json={"audio_b64": recording, "consent": True})
    assert answer.status_code == 200
    assert server.client.get(STYLES).json()["styles"] == [answer.json()]
    assert server.client.delete(f"{STYLES}/whisper").status_code == 204
    assert server.client.get(STYLES).json()["styles"] == []


@pytest.mark.parametrize("style", ["Happy", "a.b", "..%2Fa", "a" * 65])
def test_hostile_name_of_a_style_is_refused(server: Server, style: str) -> None:
    make(server.client)
    for route in (f"{STYLES}/{style}", f"{VOICES}/clara/styles/{style}"):
        assert server.client.put(route, data={"consent": "true"}, files=FILES).status_code in (400, 404)


def test_style_of_a_voice_that_is_not_there_or_the_models_is_refused(server: Server) -> None:
    assert server.client.get(f"{VOICES}/nobody/styles").status_code == 404
    for voice in ("nobody", "anna"):
        assert server.client.put(f"{VOICES}/{voice}/styles/happy", files=FILES).status_code == 404


def test_style_without_a_recording_is_refused(server: Server) -> None:
    assert code_of(server.client.put(f"{STYLES}/whisper", json={"consent": True})) == (422, "invalid_field", "audio")


@pytest.fixture
def clients(tmp_path: Path) -> Generator[list[httpx.Client]]:
    path = tmp_path / "keys"
    path.write_text(f"{ANNA_LINE}\n{BEN_LINE}\n{ADMIN_LINE} admin\n", encoding="utf-8")
    with running(Settings(api_keys_file=path)) as server:
        made = [
            httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {key}"}, timeout=20.0)
            for key in (ANNA_KEY, BEN_KEY)
        ]
        yield made
        for client in made:
            client.close()


def test_style_for_all_is_used_by_all_and_changed_by_its_own_key(clients: list[httpx.Client]) -> None:
    own, other = clients
    fields = {"consent": "true"}
    assert own.put(f"{STYLES}/whisper", data=fields, files=FILES).status_code == 200
    assert [(each["id"], each["can_change"]) for each in other.get(STYLES).json()["styles"]] == [("whisper", False)]
    assert code_of(other.put(f"{STYLES}/whisper", data=fields, files=FILES))[:2] == (403, "not_yours")
    assert code_of(other.delete(f"{STYLES}/whisper"))[:2] == (403, "not_yours")
    assert own.delete(f"{STYLES}/whisper").status_code == 204
