"""The studio's files over HTTP: what is handed out, how it is kept, and what a browser may do with it."""

import re
from pathlib import Path

import httpx

from serve_app.api import studio
from serve_app.api.keys import new_key
from serve_app.settings import Settings
from tests.api.conftest import Server, running

STATIC = Path(studio.__file__).parent / "static"
MAX_LINES = {".js": 300, ".css": 400, ".html": 300}


def test_every_file_is_handed_out_and_no_other() -> None:
    assert {path.name for path in STATIC.iterdir()} == set(studio.FILES)


def test_page_and_files_come_with_their_types_and_policy(server: Server) -> None:
    for path in studio.PATHS:
        answer = server.client.get(path)
        name = path.rpartition("/")[2] or studio.PAGE
        assert (answer.status_code, answer.headers["content-type"]) == (200, studio.FILES[name])
        assert answer.headers["cache-control"] == "no-cache"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy and "media-src 'self' blob:" in policy and "unsafe" not in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert server.client.head(path).status_code == 200


def test_kept_file_is_not_sent_again(server: Server) -> None:
    tag = server.client.get("/studio/app.js").headers["etag"]
    again = server.client.get("/studio/app.js", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert server.client.get("/", headers={"if-none-match": tag}).status_code == 200


def test_nothing_else_is_below_the_studio(server: Server) -> None:
    for path in (
        "/studio/",
        "/studio/index.html",
        "/studio/nothing.js",
        "/studio/..%2Fapp.py",
        "/studio/%2e%2e/app.py",
    ):
        assert server.client.get(path).status_code == 404


def test_files_name_no_other_host_and_hold_no_markup_from_strings() -> None:
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[^\s\"'`)]+", text)) <= {"http://www.w3.org/2000/svg"}, path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), path.name
        assert len(text.splitlines()) < MAX_LINES.get(path.suffix, 300), path.name
    page = (STATIC / studio.PAGE).read_text(encoding="utf-8")
    assert not re.search(r"\sstyle=|\son[a-z]+=|<script(?! type=\"module\" src=)|<style", page)


def test_page_needs_no_key_and_everything_else_does(tmp_path: Path) -> None:
    _, line = new_key("team")
    (tmp_path / "keys").write_text(line, encoding="utf-8")
    with running(Settings(api_keys_file=tmp_path / "keys", voice_dir=tmp_path / "voices")) as guarded:
        ask = httpx.Client(base_url=guarded.url)
        assert {ask.get(path).status_code for path in studio.PATHS} == {200}
        for path in ("/health", "/v1/audio/voices", "/studio/nothing.js", "/studio/app.js/"):
            assert ask.get(path).status_code == 401, path
        ask.close()


def test_words_of_both_languages_are_complete() -> None:
    rows = re.findall(r'^  (\w+): \["((?:[^"\\]|\\.)+)", "((?:[^"\\]|\\.)+)"\],$', _read("strings.js"), re.MULTILINE)
    assert len(rows) == len(re.findall(r"^  \w+:", _read("strings.js"), re.MULTILINE)) > 100
    for key, english, korean in rows:
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", korean)), key
        assert not re.search("[가-힣]", english) and (key == "modelReady" or re.search("[가-힣]", korean)), key
    everything = "".join(_read(name) for name in studio.FILES if name != "strings.js")
    in_page = set(re.findall(r'data-t(?:-\w+)?="(\w+)"', everything))
    assert in_page <= {key for key, _, _ in rows}
    assert [key for key, _, _ in rows if not re.search(rf'["`]{key}["`]', everything) and not _is_composed(key)] == []


def _is_composed(key: str) -> bool:
    """Keys that the code puts together, such as `${name}Again`."""
    return key.endswith(("Again", "Said"))


def _read(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")
