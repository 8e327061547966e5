"""Voices that users make, over HTTP: made, listed, changed, heard, deleted, and by whom."""

import base64
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import HTTPConnection

from serve_app.api.app import create_app
from serve_app.api.keys import new_key
from serve_app.api.recordings import MAX_RECORDINGS
from serve_app.api.voice_access import get_voice_access
from serve_app.errors import Overloaded, ReferenceTooShort
from serve_app.settings import Settings
from serve_app.speech.request import VoiceChoice
from serve_app.text.languages import LANGUAGES
from serve_app.text.preview import preview_text
from serve_app.voices.entry import new_entry
from tests.api.conftest import Server, running
from tests.audio.signals import tone, write
from tests.fakes import FakeBackend

ROUTE = "/v1/audio/voices"
WAV = write(tone(0.5, 22_050), 22_050)
OTHER_WAV = write(tone(0.5, 22_050, 330.0), 22_050)
SPEECH = "/v1/audio/speech"
ANNA_KEY, ANNA_LINE = new_key("anna-team")
BEN_KEY, BEN_LINE = new_key("ben-team")
ADMIN_KEY, ADMIN_LINE = new_key("operator")


def make(client: httpx.Client, name: str = "Clara", files: int = 1, **fields: str) -> httpx.Response:
    sent = [("audio", (f"{index}.wav", (WAV, OTHER_WAV)[index % 2])) for index in range(files)]
    return client.post(ROUTE, data={"name": name, "consent": "true", **fields}, files=sent)


def code_of(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def speak(client: httpx.Client, voice: str, **fields: Any) -> httpx.Response:
    return client.post(SPEECH, json={"input": "Hello", "voice": voice, "response_format": "pcm", **fields})


def listed(client: httpx.Client) -> list[str]:
    return [each["id"] for each in client.get(ROUTE).json()["voices"] if each["kind"] == "custom"]


# -- the model's own -----------------------------------------------------------------------------------------------


def test_voices_are_listed_with_their_licences(server: Server) -> None:
    answer = server.client.get(ROUTE)
    assert answer.status_code == 200
    voices = answer.json()["voices"]
    assert [(each["id"], each["name"], each["description"], each["licence"]) for each in voices] == [
        ("default", "default", "", ""),
        ("anna", "anna", "female", "CC0"),
        ("gone", "gone", "", ""),
    ]
    assert {(each["kind"], each["can_change"]) for each in voices} == {("model", False)}
    assert server.client.get(f"{ROUTE}/anna").json() == voices[1]


def test_voices_are_503_until_the_model_is_loaded(server: Server) -> None:
    server.backend.configure(is_ready=False)
    assert server.client.get(ROUTE).status_code == 503


def test_models_voice_is_neither_taken_nor_changed(server: Server) -> None:
    assert code_of(make(server.client, "Anna")) == (409, "voice_exists", "id")
    assert server.client.patch(f"{ROUTE}/anna", json={"name": "x"}).status_code == 409
    assert server.client.delete(f"{ROUTE}/anna").status_code == 409


# -- made ----------------------------------------------------------------------------------------------------------


def test_voice_of_several_recordings_is_made_and_spoken_with(server: Server) -> None:
    answer = make(server.client, "Clara Müller", files=3, description="low and warm")
    assert answer.status_code == 201
    voice = answer.json()
    assert voice.pop("created_at").endswith("+00:00")
    assert voice == {
        "id": "clara-muller",
        "name": "Clara Müller",
        "description": "low and warm",
        "licence": "",
        "kind": "custom",
        "speech_s": 1.5,
        "styles": [],
        "warnings": ["3 recordings"],
        "shared": False,
        "can_change": True,
    }
    assert server.client.get(f"{ROUTE}/clara-muller").json()["speech_s"] == 1.5
    assert listed(server.client) == ["clara-muller"]
    assert speak(server.client, "clara-muller").status_code == 200
    assert server.backend.requests[-1].turns[0].voice == VoiceChoice((("clara-muller", 1.0),))


def test_voice_is_made_of_json(server: Server) -> None:
    recordings = [base64.b64encode(each).decode() for each in (WAV, OTHER_WAV)]
    body = {"name": "Clara", "id": "c-1", "consent": True, "audio_b64": recordings}
    answer = server.client.post(ROUTE, json=body)
    assert (answer.status_code, answer.json()["id"], answer.json()["speech_s"]) == (201, "c-1", 1.0)


@pytest.mark.parametrize("consent", ["false", None])
def test_voice_without_consent_is_refused_with_advice(server: Server, consent: str | None) -> None:
    fields = {"name": "Clara"} | ({"consent": consent} if consent else {})
    answer = server.client.post(ROUTE, data=fields, files=[("audio", ("a.wav", WAV))])
    assert code_of(answer) == (422, "consent_missing", "consent")
    assert "right to use this voice" in answer.json()["error"]["message"]
    assert listed(server.client) == []


def test_voice_that_exists_is_a_conflict(server: Server) -> None:
    make(server.client)
    assert code_of(make(server.client, "CLARA")) == (409, "voice_exists", "id")


def test_number_of_recordings_is_bounded(server: Server) -> None:
    none = server.client.post(ROUTE, json={"name": "Clara", "consent": True})
    assert code_of(none) == (422, "invalid_field", "audio")
    assert make(server.client, files=MAX_RECORDINGS + 1).status_code == 400
    assert make(server.client, files=MAX_RECORDINGS).status_code == 201
    text = base64.b64encode(WAV).decode()
    body = {"name": "D", "consent": True, "audio_b64": [text] * (MAX_RECORDINGS + 1)}
    assert code_of(server.client.post(ROUTE, json=body))[:2] == (422, "invalid_field")


def test_five_recordings_of_the_largest_size_fit_and_a_speech_of_that_size_does_not(tmp_path: Path) -> None:
    with running(Settings(max_upload_bytes=60_000)) as server:
        files = [("audio", (str(index), write(tone(1.3, 22_050), 22_050))) for index in range(5)]
        assert sum(len(data) for _, (_, data) in files) > 280_000
        fields = {"name": "Clara", "consent": "true"}
        assert server.client.post(ROUTE, data=fields, files=files).status_code == 201
        large = [("audio", ("0", write(tone(1.5, 22_050), 22_050)))]
        assert code_of(server.client.post(ROUTE, data={**fields, "name": "D"}, files=large)) == (
            413,
            "upload_too_large",
            "audio.0",
        )


def test_recordings_are_not_longer_than_ten_minutes_together() -> None:
    mp3 = write(tone(130.0, 8_000), 8_000, "mp3")
    with running(Settings(max_upload_bytes=4_000_000)) as roomy:
        files = [("audio", (str(index), mp3)) for index in range(5)]
        answer = roomy.client.post(ROUTE, data={"name": "Clara", "consent": "true"}, files=files)
    assert code_of(answer) == (422, "reference_too_long", "audio")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "a" * 101}, "name"),
        ({"description": "a" * 1_001}, "description"),
        ({"id": "a" * 65}, "id"),
        ({"consent": "perhaps"}, "consent"),
    ],
)
def test_wrong_field_is_named(server: Server, fields: dict[str, str], param: str) -> None:
    assert code_of(make(server.client, **{"name": "Clara", **fields})) == (422, "invalid_field", param)


@pytest.mark.parametrize("voice_id", ["../a", "a/b", "..", "A", "a.b", "a b", "-", "con\0"])
def test_hostile_id_is_refused_and_touches_no_file(server: Server, voice_id: str, tmp_path: Path) -> None:
    assert code_of(make(server.client, id=voice_id)) == (400, "invalid_request", "id")
    quoted = voice_id.replace("/", "%2F").replace("\0", "%00")
    for ask in (server.client.get, server.client.delete, lambda url: server.client.patch(url, json={"name": "x"})):
        assert ask(f"{ROUTE}/{quoted}").status_code in (400, 404, 405)
    assert speak(server.client, voice_id).status_code in (400, 404)


def test_recording_that_is_none_is_named(server: Server) -> None:
    files = [("audio", ("a.wav", WAV)), ("audio", ("b.wav", b"RIFF nonsense"))]
    answer = server.client.post(ROUTE, data={"name": "Clara", "consent": "true"}, files=files)
    assert code_of(answer) == (422, "invalid_audio", "audio.1")


def test_engines_refusal_is_passed_on(server: Server) -> None:
    server.backend.configure(error=ReferenceTooShort("too short; send more", field="audio"))
    assert code_of(make(server.client)) == (422, "reference_too_short", "audio")
    server.backend.configure(error=Overloaded("busy"))
    assert make(server.client).status_code == 429
    assert listed(server.client) == []


def test_more_voices_than_may_be_are_refused() -> None:
    with running(Settings(max_voices=1)) as server:
        assert make(server.client).status_code == 201
        assert code_of(make(server.client, "Dora"))[:2] == (409, "too_many_voices")


def test_service_without_users_voices_says_so_before_anything_is_decoded() -> None:
    with running(Settings(max_voices=0)) as server:
        for answer in (
            make(server.client),
            server.client.put(
                "/v1/audio/styles/happy", data={"consent": "true"}, files=[("audio", ("a", b"nonsense"))]
            ),
        ):
            assert code_of(answer)[:2] == (409, "too_many_voices")
            assert "keeps no voices" in answer.json()["error"]["message"]


# -- changed, deleted, heard ---------------------------------------------------------------------------------------


def test_name_and_description_change_and_the_id_stays(server: Server) -> None:
    make(server.client, description="low")
    answer = server.client.patch(f"{ROUTE}/clara", json={"name": "Clara B."})
    assert (answer.status_code, answer.json()["name"], answer.json()["description"]) == (200, "Clara B.", "low")
    assert server.client.get(f"{ROUTE}/clara").json() == answer.json()
    assert server.client.patch(f"{ROUTE}/clara", json={}).status_code == 422
    assert server.client.patch(f"{ROUTE}/nobody", json={"name": "x"}).status_code == 404


def test_deleted_voice_is_gone_and_its_id_free(server: Server) -> None:
    make(server.client)
    assert server.client.delete(f"{ROUTE}/clara").status_code == 204
    assert code_of(server.client.get(f"{ROUTE}/clara"))[:2] == (404, "voice_not_found")
    assert code_of(server.client.delete(f"{ROUTE}/clara"))[:2] == (404, "voice_not_found")
    assert code_of(speak(server.client, "clara")) == (404, "voice_not_found", "voice")
    assert make(server.client).status_code == 201


def test_voice_deleted_while_it_speaks_ends_its_speech(server: Server) -> None:
    make(server.client)
    server.backend.configure(chunk_delay_s=0.05)
    with server.client.stream(
        "POST", SPEECH, json={"input": "Hello, you.", "voice": "clara", "response_format": "pcm"}
    ) as answer:
        pieces = answer.iter_raw()
        received = len(next(pieces))
        assert server.client.delete(f"{ROUTE}/clara").status_code == 204
        received += sum(len(piece) for piece in pieces)
    assert received == 2 * 1_200 * len("Hello, you.")
    assert speak(server.client, "clara").status_code == 404


def test_preview_is_a_sentence_of_the_language_in_the_format_asked_for(server: Server) -> None:
    make(server.client)
    for query, content_type, language in (
        ({}, "audio/mpeg", "en"),
        ({"language": "ko", "response_format": "wav"}, "audio/wav", "ko"),
    ):
        answer = server.client.get(f"{ROUTE}/clara/preview", params=query)
        assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
        turn = server.backend.requests[-1].turns[0]
        assert (turn.text, turn.voice.name) == (preview_text(language), "clara")
    assert server.client.get(f"{ROUTE}/anna/preview").status_code == 200
    assert server.client.get(f"{ROUTE}/nobody/preview").status_code == 404
    assert server.client.get(f"{ROUTE}/clara/preview", params={"language": "xx"}).status_code == 422


def test_every_language_has_a_preview_of_its_own() -> None:
    assert len({preview_text(language) for language in LANGUAGES}) == len(LANGUAGES)


# -- mixed ---------------------------------------------------------------------------------------------------------


def test_mix_of_voices_is_asked_for_by_weights(server: Server) -> None:
    make(server.client)
    assert speak(server.client, "anna(2)+clara", emotion="happy", emotion_intensity=0.5).status_code == 200
    voice = server.backend.requests[-1].turns[0].voice
    assert voice == VoiceChoice((("anna", 2.0), ("clara", 1.0)), style="happy", style_intensity=0.5)


@pytest.mark.parametrize(
    ("voice", "status"),
    [
        ("anna+nobody", 404),
        ("anna(0)+default", 400),
        ("anna(-1)", 400),
        ("anna(nan)+default", 400),
        ("anna(1e9)+default", 400),
        ("anna++default", 400),
        ("+".join(["anna"] * 6), 400),
        ("(2)", 400),
    ],
)
def test_mix_that_is_none_is_refused(server: Server, voice: str, status: int) -> None:
    answer = speak(server.client, voice)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, "voice")


# -- trouble -------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XTTS_VOICE_DIR", str(tmp_path / "place"))
    return tmp_path / "place"


def test_place_that_is_away_is_told_and_the_models_voices_still_speak(place: Path) -> None:
    place.write_text("not a directory")
    with running(Settings()) as server:
        answer = server.client.get(ROUTE).json()
        assert [each["id"] for each in answer["voices"]] == ["default", "anna", "gone"]
        assert "not listed" in answer["warnings"][0]
        answer = make(server.client)
        assert code_of(answer)[:2] == (503, "storage_failed")
        assert answer.headers["retry-after"]
        assert str(place) not in answer.text
        assert code_of(speak(server.client, "clara"))[:2] == (503, "storage_failed")
        assert speak(server.client, "anna").status_code == 200


def test_damaged_voice_is_listed_as_such_and_can_be_deleted(place: Path) -> None:
    with running(Settings()) as server:
        make(server.client)
        make(server.client, "Dora")
    (place / "custom" / "clara.safetensors").write_bytes(b"nonsense")
    with running(Settings()) as server:
        voices = {each["id"]: each for each in server.client.get(ROUTE).json()["voices"]}
        assert "damaged" in voices["clara"]["warnings"][0]
        assert voices["dora"]["warnings"] == ["1 recordings"]
        assert speak(server.client, "clara").status_code == 404
        assert speak(server.client, "dora").status_code == 200
        assert server.client.delete(f"{ROUTE}/clara").status_code == 204
        assert listed(server.client) == ["dora"]


def test_voices_are_made_while_twenty_requests_run(server: Server) -> None:
    server.backend.configure(chunk_delay_s=0.05)
    begun = threading.Barrier(21, timeout=10.0)

    def run() -> int:
        with httpx.Client(base_url=server.url, timeout=20.0) as client:
            begun.wait()
            return len(speak(client, "anna", input="A text of some length, spoken slowly.").content)

    with ThreadPoolExecutor(20) as pool:
        running_requests = [pool.submit(run) for _ in range(20)]
        begun.wait()
        names = [f"voice-{index}" for index in range(4)]
        with ThreadPoolExecutor(4) as makers:
            made = list(makers.map(lambda name: make(server.client, name).status_code, names))
        lengths = {each.result() for each in running_requests}
    assert made == [201] * 4
    assert len(lengths) == 1
    assert listed(server.client) == names


# -- whose ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(tmp_path: Path) -> Generator[Server]:
    path = tmp_path / "keys"
    path.write_text(f"{ANNA_LINE}\n{BEN_LINE}\n{ADMIN_LINE} admin\n", encoding="utf-8")
    with running(Settings(api_keys_file=path)) as server:
        yield server


@pytest.fixture
def clients(guarded: Server) -> Generator[list[httpx.Client]]:
    """Of the key that makes a voice, of another, and of an administrator's."""
    made = [
        httpx.Client(base_url=guarded.url, headers={"authorization": f"Bearer {key}"}, timeout=20.0)
        for key in (ANNA_KEY, BEN_KEY, ADMIN_KEY)
    ]
    yield made
    for client in made:
        client.close()


def test_voice_of_another_key_is_as_if_it_were_not_there(clients: list[httpx.Client]) -> None:
    own, other, _ = clients
    make(own)
    assert (listed(own), listed(other)) == (["clara"], [])
    assert speak(own, "clara").status_code == 200
    for answer in (
        speak(other, "clara"),
        speak(other, "anna+clara"),
        other.get(f"{ROUTE}/clara"),
        other.get(f"{ROUTE}/clara/preview"),
        other.patch(f"{ROUTE}/clara", json={"name": "mine"}),
        other.delete(f"{ROUTE}/clara"),
        other.put(f"{ROUTE}/clara/styles/happy", files=[("audio", ("a.wav", WAV))]),
    ):
        assert code_of(answer)[:2] == (404, "voice_not_found")
    dialogue = {"turns": [{"voice": "anna", "text": "Hello."}, {"voice": "clara", "text": "Hello."}]}
    assert other.post("/v1/audio/dialogue", json=dialogue).status_code == 404
    assert other.post("/synthesize_base64", json={"text": "Hello", "speaker_id": "clara"}).status_code == 404
    assert listed(own) == ["clara"]


def test_shared_voice_is_used_by_all_keys_and_changed_by_its_own(clients: list[httpx.Client]) -> None:
    own, other, _ = clients
    make(own, shared="true")
    assert speak(other, "clara").status_code == 200
    assert other.get(f"{ROUTE}/clara").json()["can_change"] is False
    for answer in (other.patch(f"{ROUTE}/clara", json={"name": "mine"}), other.delete(f"{ROUTE}/clara")):
        assert code_of(answer)[:2] == (403, "not_yours")
    own.patch(f"{ROUTE}/clara", json={"shared": False})
    assert speak(other, "clara").status_code == 404


def test_administrator_sees_and_deletes_all(clients: list[httpx.Client]) -> None:
    own, _, admin = clients
    make(own)
    assert listed(admin) == ["clara"]
    assert admin.delete(f"{ROUTE}/clara").status_code == 204
    assert listed(own) == []


def test_who_came_in_without_a_key_owns_nothing(tmp_path: Path) -> None:
    """As on a way in that asks for none: where keys are used, no key is not every key."""
    path = tmp_path / "keys"
    path.write_text(f"{ANNA_LINE}\n", encoding="utf-8")
    app = create_app(FakeBackend(), Settings(api_keys_file=path))
    access = get_voice_access(HTTPConnection({"type": "websocket", "app": app, "state": {}, "headers": []}))
    private = new_entry("clara", "Clara", 1.0, (), owner="anna-team")
    for entry in (private, replace(private, owner=None), replace(private, owner="")):
        assert not access.may_use(entry)
    assert access.may_use(replace(private, is_shared=True))
