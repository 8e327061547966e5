"""The rest of the studio: voices, dialogues, code to take along, keys, both languages, and how it looks."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serve_app.api.keys import new_key
from serve_app.settings import Settings
from tests.api.conftest import Server, running
from tests.audio.signals import tone, write
from tests.studio.browser import Browser
from tests.studio.conftest import open_studio
from tests.studio.test_speaking import IS_OVER, TEXT, speak

pytestmark = pytest.mark.slow  # half a minute together

TABS = ("speak", "dialogue", "voices", "code")
SCREENS = [(1280, 860, "light", "en"), (1280, 860, "dark", "ko"), (360, 740, "dark", "en"), (360, 740, "light", "ko")]
HOSTILE = '<img src=x onerror="document.title=1">'


def in_library(page: Browser) -> list[str]:
    names: list[str] = page.run("[...document.querySelectorAll('#library .voice')].map((each) => each.dataset.voice)")
    return names


@pytest.mark.parametrize(("width", "height", "scheme", "language"), SCREENS)
def test_page_fits_every_screen_in_both_languages(
    page: Browser, server: Server, tmp_path: Path, width: int, height: int, scheme: str, language: str
) -> None:
    open_studio(page, server, language, width=width, height=height, scheme=scheme)
    speak(page)
    page.wait(IS_OVER)
    page.click("#tab-speak")
    for tab in TABS:
        page.click(f"#tab-{tab}")
        assert page.run("document.documentElement.scrollWidth") <= width, tab
        assert page.screenshot(tmp_path / f"{tab}.png", is_whole=False)
    assert page.run("document.documentElement.lang") == language
    assert page.run("[...document.querySelectorAll('[data-t]')].every((each) => each.textContent)")
    assert page.text("#speak") == {"en": "Speak", "ko": "말하기"}[language]
    is_dark = page.run("getComputedStyle(document.documentElement).backgroundColor") == "rgb(18, 21, 20)"
    assert is_dark == (scheme == "dark")


def test_language_is_switched_and_kept(page: Browser, server: Server) -> None:
    assert page.text("#tab-voices") == "Voices"
    page.click("[data-language=ko]")
    assert (page.text("#tab-voices"), page.text("#emotions .chip")) == ("목소리", "보통")
    assert page.run("document.title") == "스튜디오 – 음성 합성"
    page.command("Page.reload")
    page.wait("document.querySelector('#tab-voices')?.textContent === '목소리'")


def test_every_control_has_a_name(page: Browser) -> None:
    page.run("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    for tab in TABS:
        page.click(f"#tab-{tab}")
        nodes = page.command("Accessibility.getFullAXTree")["nodes"]
        for node in nodes:
            role = node.get("role", {}).get("value")
            if role in ("button", "textbox", "combobox", "slider", "checkbox", "radio", "tab", "spinbutton"):
                assert node.get("name", {}).get("value"), (tab, role, node)


def test_recording_is_used_once_then_saved_and_deleted(page: Browser, server: Server) -> None:
    page.click("#tab-voices")
    page.click("#new-voice .record")
    page.wait("/^[1-9] s/.test(document.querySelector('#new-voice .saying').textContent)")
    page.click("#new-voice .record")
    page.wait("document.querySelectorAll('.recording').length === 1")
    page.click(".recording .row-buttons button")
    page.wait("document.querySelector('#voice').value === '@once'")
    page.click("#tab-speak")
    speak(page)
    page.wait(IS_OVER)
    reference = server.backend.requests[-1].turns[0].voice.reference
    assert reference is not None and reference.duration_s >= 1.0 and np.abs(reference.samples).max() > 0.01
    page.click("#tab-voices")
    page.fill("#voice-name", "My voice")
    page.click("#consent")
    page.click("#save-voice")
    page.wait("document.querySelector('#new-voice .saying').textContent.startsWith('My voice is saved')")
    assert page.text("#new-voice .hints") == "1 recordings"
    assert in_library(page)[0] == "my-voice"
    page.click("[data-remove=my-voice]")
    assert page.text("#library .danger") == "Really?" and in_library(page)[0] == "my-voice"
    page.click("#library .danger")
    page.wait("document.querySelector('#library-said').textContent === 'My voice is deleted.'")
    assert "my-voice" not in in_library(page)


def test_files_without_consent_are_told_why(browser: Browser, server: Server, tmp_path: Path) -> None:
    open_studio(browser, server)
    browser.click("#tab-voices")
    (tmp_path / "clara.wav").write_bytes(write(tone(1.0, 22_050), 22_050))
    browser.upload("#new-voice .files", tmp_path / "clara.wav")
    browser.wait("document.querySelectorAll('.recording').length === 1")
    browser.fill("#voice-name", "Clara")
    browser.click("#save-voice")
    said = "document.querySelector('#new-voice .saying')"
    browser.wait(f"{said}.textContent.startsWith('Please confirm that you may use this recording.')")
    (tmp_path / "notes.m4a").write_bytes(b"no audio")
    browser.upload("#new-voice .files", tmp_path / "notes.m4a")
    browser.wait(f"{said}.textContent.startsWith('notes.m4a is no audio')")


def test_names_and_texts_enter_the_page_as_text(browser: Browser, server: Server) -> None:
    made = server.client.post(
        "/v1/audio/voices",
        data={"name": HOSTILE, "id": "odd", "description": HOSTILE, "consent": "true"},
        files=[("audio", ("a.wav", write(tone(1.0, 22_050), 22_050)))],
    )
    assert made.status_code == 201
    open_studio(browser, server)
    browser.click("#tab-voices")
    assert in_library(browser)[0] == "odd" and HOSTILE in browser.text("#library")
    browser.fill("#voice", "odd")
    speak(browser, HOSTILE)
    browser.wait(f"{IS_OVER} && document.querySelector('#caption').textContent")
    assert browser.text("#caption") == HOSTILE
    assert browser.run("document.querySelectorAll('img:not(.mark)').length") == 0
    assert browser.complaints() == []
    assert browser.run("(() => { try { document.body.innerHTML = '<b>'; return false } catch { return true } })()")


def test_preview_is_heard(page: Browser, server: Server) -> None:
    page.click("#tab-voices")
    page.click("[data-voice=anna] button")
    page.wait(IS_OVER)
    assert server.backend.requests[-1].turns[0].voice.name == "anna"
    assert page.run("window.heard.length") > 0
    assert page.run("document.querySelector('#save-mp3').ariaDisabled") == "true"


def test_dialogue_is_composed_reordered_and_spoken(page: Browser, server: Server) -> None:
    page.click("#tab-dialogue")
    page.click("#speak")
    assert page.text("#dialogue-said") == "Write something for turn 1."
    page.click("#add-turn")
    for number, text in enumerate(("Who is there?", "It is I.", "Come in."), start=1):
        page.fill(f".turn:nth-child({number}) textarea", text)
    page.fill(".turn:nth-child(2) select", "default")
    page.fill(".turn:nth-child(2) input[type=number]", "0.4")
    page.fill(".turn:nth-child(2) .turn-emotion select", "sad")
    page.click(".turn:nth-child(2) [data-move=up]")
    page.click(".turn:nth-child(3) [data-move=away]")
    page.click("#speak")
    page.wait(IS_OVER)
    first, second = server.backend.requests[-1].turns
    assert (first.text, first.voice.name, first.voice.style, first.pause_s) == ("It is I.", "default", "sad", 0.4)
    assert (second.text, second.voice.name, second.voice.style) == ("Who is there?", "anna", None)
    assert page.run("document.querySelector('.turn:nth-child(2)').dataset.colour") == "1"


@pytest.mark.parametrize("tab", ["speak", "dialogue"])
def test_code_on_the_screen_runs(page: Browser, server: Server, tmp_path: Path, tab: str) -> None:
    text = 'It\'s "quoted", ünd\n한국어.'
    page.click(f"#tab-{tab}")
    page.fill("#text", text)
    page.fill("#seed", "5")
    page.fill("#speed", "1.5")
    for number in (1, 2):
        page.fill(f".turn:nth-child({number}) textarea", text)
    page.click("#tab-code")
    subprocess.run(["bash", "-c", page.text("#curl")], cwd=tmp_path, check=True, timeout=20, capture_output=True)
    by_curl = (tmp_path / "speech.mp3").read_bytes()
    subprocess.run([sys.executable, "-c", page.text("#python")], cwd=tmp_path, check=True, timeout=20)
    first, second = server.backend.requests
    assert first == second and first.turns[0].text == text
    assert len(by_curl) > 1_000 and (tmp_path / "speech.mp3").stat().st_size > 1_000


def test_key_is_asked_for_kept_in_the_tab_and_sent(browser: Browser, tmp_path: Path) -> None:
    key, line = new_key("team")
    (tmp_path / "keys").write_text(line, encoding="utf-8")
    with running(Settings(api_keys_file=tmp_path / "keys", voice_dir=tmp_path / "voices")) as guarded:
        browser.open(guarded.url)
        browser.wait("document.querySelector('#status').dataset.state === 'modelLocked'")
        assert browser.focused() == "key-input"
        speak(browser)
        browser.wait("document.querySelector('#trouble-title').textContent === 'This service wants an API key.'")
        browser.fill("#key-input", key)
        browser.run("document.querySelector('#key-form').requestSubmit()")
        browser.wait("document.querySelector('#status').dataset.state === 'modelReady'")
        speak(browser, TEXT)
        browser.wait(IS_OVER)
        browser.click("#tab-code")
        assert "$XTTS_API_KEY" in browser.text("#curl") and key not in browser.text("body")
        kept = json.loads(browser.run("JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])"))
        assert kept == [{}, {"api-key": key}, ""]
        browser.run("sessionStorage.clear()")
