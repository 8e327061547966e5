"""Styles in the studio: made from a file and from the microphone, heard, offered, replaced, deleted, and refused."""

from pathlib import Path

import httpx
import pytest

from serve_app.api.keys import new_key
from serve_app.errors import InvalidAudio, Overloaded, StorageFailed, StorageFull
from serve_app.settings import Settings
from tests.api.conftest import Server, running
from tests.audio.signals import tone, write
from tests.studio.browser import SHIFT, Browser
from tests.studio.conftest import open_studio
from tests.studio.test_page import SCREENS
from tests.studio.test_speaking import IS_OVER, speak

pytestmark = pytest.mark.slow  # forty seconds together

WAV = write(tone(1.5, 22_050), 22_050)
SAID = "document.querySelector('#new-style .saying').textContent"
# Answers as a service of before there were styles.
WITHOUT_STYLES = """
  const ask = window.fetch;
  const missing = () => Promise.resolve(Response.json({ error: { code: "not_found", message: "" } }, { status: 404 }));
  window.fetch = (url, ...rest) => (url.endsWith("/v1/audio/styles") ? missing() : ask(url, ...rest));
"""
CONSENT = {"consent": "true"}


def make_voice(client: httpx.Client) -> None:
    made = client.post("/v1/audio/voices", data={"name": "Clara", **CONSENT}, files=[("audio", ("a.wav", WAV))])
    assert made.status_code == 201


def put_style(client: httpx.Client, style: str, voice: str | None = None) -> None:
    route = f"/v1/audio/voices/{voice}/styles/{style}" if voice else f"/v1/audio/styles/{style}"
    assert client.put(route, data=CONSENT, files=[("audio", ("a.wav", WAV))]).status_code == 200


def open_voices(browser: Browser, server: Server, language: str = "en", **screen: object) -> None:
    open_studio(browser, server, language, **screen)
    show_form(browser)


def show_form(page: Browser) -> None:
    page.click("#tab-voices")
    page.click("#styling summary")


def choose_file(page: Browser, folder: Path, content: bytes = WAV) -> None:
    (folder / "calm.wav").write_bytes(content)
    page.upload("#new-style .files", folder / "calm.wav")
    page.wait("document.querySelectorAll('#new-style .recording').length === 1")


def save(page: Browser, name: str, *, voice: str = "", has_consent: bool = False) -> None:
    page.fill("#style-name", name)
    page.fill("#style-of", voice)
    if has_consent:
        page.click("#style-consent:not(:checked)")
    page.click("#save-style")


def chips(page: Browser) -> list[str]:
    names: list[str] = page.run("[...document.querySelectorAll('#emotions input')].map((each) => each.value)")
    return names


def emotions_of_turn(page: Browser, number: int) -> list[str]:
    options = f"document.querySelector('.turn:nth-child({number}) .turn-emotion select').options"
    names: list[str] = page.run(f"[...{options}].map((each) => each.value)")
    return names


def delete(page: Browser, style: str) -> None:
    """By two clicks, the first of which deletes nothing."""
    button = f"[data-style={style}] button:last-child"
    page.click(button)
    assert page.text(button) == "Really?"
    page.press("Tab", SHIFT)
    assert page.text(button) == "Delete"
    page.click(button)
    page.click(button)


def test_uploaded_style_for_all_voices_is_offered_heard_and_deleted(
    page: Browser, server: Server, tmp_path: Path
) -> None:
    show_form(page)
    choose_file(page, tmp_path)
    page.fill("#style-description", "slow and low")
    save(page, " Very Calm ", has_consent=True)
    page.wait(f"{SAID} === 'very-calm is saved and among the emotions now: 1.5 s of speech were used.'")
    assert page.text("#new-style .hints") == "a style"
    assert page.run("document.querySelectorAll('#new-style .recording').length") == 0
    assert page.text("#shared-styles .voice-words .muted") == "slow and low · 1.5 s of speech"
    assert chips(page)[-1] == emotions_of_turn(page, 1)[-1] == "very-calm"
    page.click("[data-style=very-calm] button")
    page.wait(IS_OVER)
    heard = server.backend.requests[-1].turns[0].voice
    assert (heard.name, heard.style) == ("default", "very-calm") and page.run("window.heard.length") > 0
    delete(page, "very-calm")
    page.wait("document.querySelector('#shared-said').textContent === 'very-calm is deleted.'")
    assert server.client.get("/v1/audio/styles").json()["styles"] == []
    assert "very-calm" not in chips(page) + emotions_of_turn(page, 1)


def test_recorded_style_of_a_voice_is_offered_to_that_voice_alone(browser: Browser, server: Server) -> None:
    make_voice(server.client)
    put_style(server.client, "calm")
    open_voices(browser, server)
    browser.click("#new-style .record")
    browser.wait(f"/^[1-9] s – good/.test({SAID})")
    browser.click("#new-style .record")
    browser.wait("document.querySelectorAll('#new-style .recording').length === 1")
    browser.fill("#style-of", "clara")
    assert browser.run("document.querySelector('#style-consent-field').hidden")  # the voice's own covers it
    save(browser, "whisper", voice="clara")
    browser.wait("!!document.querySelector('[data-voice=clara] [data-style=whisper]')")
    assert browser.text("[data-voice=clara] summary") == "Styles: whisper"
    assert "whisper" not in chips(browser)
    browser.click("[data-style=whisper] button")
    browser.wait(IS_OVER)
    heard = server.backend.requests[-1].turns[0].voice
    assert (heard.name, heard.style) == ("clara", "whisper")
    browser.fill(".turn:nth-child(1) select", "clara")
    browser.fill(".turn:nth-child(1) .turn-emotion select", "whisper")
    assert emotions_of_turn(browser, 1)[-2:] == ["whisper", "calm"] and emotions_of_turn(browser, 2)[-1] == "calm"
    browser.fill("#voice", "clara")
    browser.click("#emotions input[value=whisper]")
    browser.click("#tab-speak")
    speak(browser)
    browser.wait(IS_OVER)
    assert server.backend.requests[-1].turns[0].voice.style == "whisper"
    browser.click("#tab-voices")
    delete(browser, "whisper")
    browser.wait("document.querySelector('#library-said').textContent === 'whisper is deleted.'")
    assert browser.run("!document.querySelector('[data-voice=clara] summary')")
    assert chips(browser)[-1] == "calm"
    assert browser.run("document.querySelector('.turn:nth-child(1) .turn-emotion select').value") == "neutral"
    assert browser.complaints() == []


def test_shared_style_is_heard_in_a_voice_without_one_of_its_name(browser: Browser, server: Server) -> None:
    make_voice(server.client)
    put_style(server.client, "calm")
    open_voices(browser, server)
    for own, spoken_by in ((None, "clara"), ("clara", "default")):
        if own:
            put_style(server.client, "calm", own)
            open_voices(browser, server)
        browser.fill("#voice", "clara")
        browser.click("#shared-styles [data-style=calm] button")
        browser.wait(f"window.heard.length && {IS_OVER}")
        assert server.backend.requests[-1].turns[0].voice.name == spoken_by


def test_style_that_exists_is_replaced_at_the_second_click(browser: Browser, server: Server, tmp_path: Path) -> None:
    put_style(server.client, "calm")
    open_voices(browser, server)
    choose_file(browser, tmp_path, write(tone(3.0, 22_050), 22_050))
    save(browser, "calm", has_consent=True)
    assert browser.run(SAID) == "There is a style calm already. Press again to replace it."
    assert browser.text("#save-style") == "Replace the style"
    browser.fill("#style-name", "calmer")  # another name: nothing is asked any more
    assert browser.text("#save-style") == "Save the style"
    save(browser, "calm")
    assert server.client.get("/v1/audio/styles").json()["styles"][0]["speech_s"] == 1.5
    browser.click("#save-style")
    browser.wait(f"{SAID}.startsWith('calm is saved')")
    assert [each["speech_s"] for each in server.client.get("/v1/audio/styles").json()["styles"]] == [3.0]


def test_what_cannot_be_saved_is_told_before_it_is_sent(page: Browser, tmp_path: Path) -> None:
    show_form(page)
    save(page, "calm", has_consent=True)
    assert page.run(SAID) == "Record or choose a recording first."
    choose_file(page, tmp_path)
    for name, said in (
        ("속삭임", "Use a–z, 0–9, - and _ for the name."),
        ("neutral", "Neutral is the voice as it is; use another name."),
    ):
        save(page, name)
        assert page.run(SAID) == said and page.focused() == "style-name"
    assert not [each for each in page.requested() if "styles/" in each]


@pytest.mark.parametrize(
    ("error", "english", "korean"),
    [
        (InvalidAudio("No sound."), "The recording cannot be used. No sound.", "이 녹음은 쓸 수 없습니다."),
        (Overloaded("Busy.", retry_after_s=3.0), "The service is full. Try again in 3 s.", "3초 뒤 다시 시도하세요."),
        (StorageFailed("No disk."), "Where voices are kept cannot be reached.", "목소리 저장소를 쓸 수 없습니다."),
        (StorageFull("Full."), "This service can keep no more.", "이 서비스에는 더 저장할 수 없습니다."),
    ],
)
def test_errors_are_told_in_the_words_of_the_page(
    browser: Browser, server: Server, tmp_path: Path, error: Exception, english: str, korean: str
) -> None:
    open_voices(browser, server)
    server.backend.configure(error=error)
    choose_file(browser, tmp_path)
    save(browser, "calm", has_consent=True)
    browser.wait(f"{SAID}.includes({english!r})")
    assert browser.run("document.querySelector('#new-style .saying').classList.contains('is-trouble')")
    browser.click("[data-language=ko]")
    browser.click("#save-style")
    browser.wait(f"{SAID}.includes({korean!r})")
    server.backend.configure(error=None)
    browser.click("#save-style")
    browser.wait(f"{SAID}.startsWith('calm 저장됨')")


def test_consent_size_and_length_are_refused_in_words(browser: Browser, tmp_path: Path) -> None:
    with running(Settings(voice_dir=tmp_path / "voices", max_upload_bytes=50_000)) as server:
        open_voices(browser, server)
        choose_file(browser, tmp_path, write(tone(0.1, 22_050), 22_050))
        save(browser, "calm")
        browser.wait(f"{SAID}.startsWith('Please confirm that you may use this recording.')")
        save(browser, "calm", has_consent=True)
        browser.wait(f"{SAID}.startsWith('There is too little speech in it.')")
        browser.click("#new-style .recording .row-buttons button")
        assert browser.run("document.activeElement.className") == "record"
        choose_file(browser, tmp_path, write(tone(2.0, 22_050), 22_050))
        browser.click("#save-style")
        browser.wait(f"{SAID}.startsWith('The recording is too large.')")


def test_service_that_keeps_no_voices_says_so(browser: Browser, tmp_path: Path) -> None:
    with running(Settings(voice_dir=tmp_path / "voices", max_voices=0)) as server:
        open_voices(browser, server)
        choose_file(browser, tmp_path)
        save(browser, "calm", has_consent=True)
        browser.wait(f"{SAID}.startsWith('This service can keep no more. This service keeps no voices of its users')")


def test_service_whose_voices_cannot_be_read_speaks_on(browser: Browser, server: Server, settings: Settings) -> None:
    make_voice(server.client)
    folder = Path(settings.voice_dir or "")
    folder.rename(folder.with_name("away"))
    folder.write_text("no folder")
    open_voices(browser, server)
    assert browser.run("!document.querySelector('#styling').hidden")
    browser.click("#tab-speak")
    speak(browser)
    browser.wait(IS_OVER)


def test_service_without_styles_shows_no_form_for_them(browser: Browser, server: Server) -> None:
    script = browser.command("Page.addScriptToEvaluateOnNewDocument", source=WITHOUT_STYLES)["identifier"]
    try:
        open_voices(browser, server)
    finally:
        browser.command("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
    assert browser.run("document.querySelector('#styling').hidden")


def test_style_of_another_key_is_heard_and_neither_replaced_nor_deleted(browser: Browser, tmp_path: Path) -> None:
    (mine, my_line), (theirs, their_line) = new_key("mine"), new_key("theirs")
    (tmp_path / "keys").write_text(f"{my_line}\n{their_line}\n", encoding="utf-8")
    with running(Settings(api_keys_file=tmp_path / "keys", voice_dir=tmp_path / "voices")) as server:
        server.client.headers["authorization"] = f"Bearer {theirs}"
        put_style(server.client, "calm")
        browser.open(server.url)
        browser.fill("#key-input", mine)
        browser.run("document.querySelector('#key-form').requestSubmit()")
        browser.wait("!!document.querySelector('[data-style=calm]')")
        show_form(browser)
        assert browser.run("document.querySelectorAll('[data-style=calm] button').length") == 1
        choose_file(browser, tmp_path)
        save(browser, "calm", has_consent=True)
        browser.wait(f"{SAID}.startsWith('Somebody else made this; only they can change it.')")
        browser.run("sessionStorage.clear()")


@pytest.mark.parametrize(("width", "height", "scheme", "language"), SCREENS)
def test_styles_fit_every_screen_in_both_languages(
    page: Browser, server: Server, tmp_path: Path, width: int, height: int, scheme: str, language: str
) -> None:
    make_voice(server.client)
    for voice in (None, "clara"):
        put_style(server.client, "w" * 64, voice)
    open_voices(page, server, language, width=width, height=height, scheme=scheme)
    choose_file(page, tmp_path)
    page.click("[data-voice=clara] summary")
    page.wait("!!document.querySelector('[data-voice=clara] [data-style]')")
    for voice in ("", "clara"):
        page.fill("#style-of", voice)
        assert page.run("document.documentElement.scrollWidth") <= width
    words = page.run("document.querySelector('#panel-voices').innerText")
    if language == "ko":
        page.click("[data-language=en]")
        english = page.run("document.querySelector('#panel-voices').innerText")
        kept = {"w" * 64, "calm.wav", "default", "anna", "gone", "female · CC0", "Clara", "a style", "1 recordings"}
        assert set(words.splitlines()) & set(english.splitlines()) <= {"", *kept}


def test_style_is_made_by_keyboard_alone(page: Browser, server: Server, tmp_path: Path) -> None:
    show_form(page)
    choose_file(page, tmp_path)
    page.run("document.querySelector('#style-name').focus()")
    page.type("calm")
    visited = []
    for _ in range(3):
        page.press("Tab")
        visited.append(page.focused())
    assert visited == ["style-of", "style-description", "style-consent"]
    page.press(" ")
    page.press("Tab")
    page.press("Enter")
    page.wait("!!document.querySelector('[data-style=calm]')")
