from tests.api.conftest import Server


def test_voices_are_listed_with_their_licences(server: Server) -> None:
    answer = server.client.get("/v1/audio/voices")
    assert answer.status_code == 200
    assert answer.json()["voices"] == [
        {"id": "default", "name": "default", "description": "", "licence": ""},
        {"id": "anna", "name": "anna", "description": "female", "licence": "CC0"},
        {"id": "gone", "name": "gone", "description": "", "licence": ""},
    ]


def test_voices_are_503_until_the_model_is_loaded(server: Server) -> None:
    server.backend.configure(is_ready=False)
    assert server.client.get("/v1/audio/voices").status_code == 503
