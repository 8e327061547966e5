"""Speaking in the studio: heard while it is made, stopped, saved, and what a person is told when it fails."""

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serve_app.errors import InvalidAudio, Overloaded, ServiceError, StorageFailed, SynthesisFailed
from serve_app.speech.request import SpeechRequest
from tests.api.conftest import Server
from tests.fakes import sine_for
from tests.studio.browser import CONTROL, Browser
from tests.studio.conftest import open_studio

IS_OVER = "document.querySelector('#save-wav').ariaDisabled === 'false'"
TEXT = "Hello there. This is a short text."


def sent_samples(request: SpeechRequest) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    """What the service sends for a request, as 16-bit samples."""
    return np.clip(np.round(sine_for(request) * 32_767), -32_768, 32_767).astype(np.int16)


def speak(page: Browser, text: str = TEXT) -> None:
    page.fill("#text", text)
    page.click("#speak")


# Lines that are seen for a moment, too short for who only looks now and then.
NOTE_LINES = """
window.lines = [];
new MutationObserver(() => window.lines.push(document.querySelector('#line').textContent))
  .observe(document.querySelector('#line'), {childList: true, characterData: true, subtree: true});
"""


def test_speech_is_played_sample_for_sample(page: Browser, server: Server) -> None:
    server.backend.configure(chunk_delay_s=0.1)
    page.run(NOTE_LINES)
    speak(page)
    page.wait(f"{IS_OVER} && document.querySelector('#line').textContent.startsWith('Done')")  # with the next frame
    assert any(line.startswith("Speaking sentence 1") for line in page.run("window.lines"))
    assert page.text("#real-time") != "–"
    assert page.text("#line") == f"Done: {len(TEXT) * 0.05:.1f} s of speech"
    assert page.text("#said") == page.text("#line")
    assert page.text("#first-audio").endswith(" s")
    sent = sent_samples(server.backend.requests[-1])
    played = np.concatenate([np.array(part) for part in page.run("window.heard")])
    assert np.abs(played * 32_768 - sent).max() <= 1.0


def test_what_is_saved_is_what_was_spoken(page: Browser, server: Server, tmp_path: Path) -> None:
    page.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    speak(page)
    page.wait(IS_OVER)
    page.click("#save-wav")
    page.click("#save-mp3")
    page.wait(f"{IS_OVER} && document.querySelector('#save-mp3').textContent === 'Save MP3'")
    wanted = [tmp_path / "speech.wav", tmp_path / "speech.mp3"]
    deadline_s = time.monotonic() + 5.0
    while not all(path.exists() for path in wanted):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    samples, rate = soundfile.read(wanted[0], dtype="int16")
    first, second = server.backend.requests
    assert rate == 24_000 and np.abs(samples.astype(int) - sent_samples(first)).max() <= 1
    assert first.seed is not None and second == first  # the MP3 is the same speech again
    assert soundfile.info(wanted[1]).duration == pytest.approx(len(samples) / rate, abs=0.2)


def test_settings_reach_the_service(page: Browser, server: Server) -> None:
    page.fill("#voice", "anna")
    page.fill("#blend", "default")
    page.fill("#blend-share", "25")
    page.fill("#language", "ko")
    page.click("#emotions input[value=happy]")
    page.fill("#intensity", "0.5")
    page.fill("#speed", "1.5")
    page.fill("#seed", "42")
    speak(page, "안녕하세요.")
    page.wait(IS_OVER)
    (request,) = server.backend.requests
    (turn,) = request.turns
    assert (turn.text, turn.language, turn.speed, request.seed) == ("안녕하세요.", "ko", 1.5, 42)
    assert turn.voice.parts == (("anna", 75.0), ("default", 25.0))
    assert (turn.voice.style, turn.voice.style_intensity) == ("happy", 0.5)
    assert page.text("#advice-list") == "spoken by anna(75)+default(25)"


def test_stop_ends_the_stream_at_the_service(page: Browser, server: Server) -> None:
    server.backend.configure(chunk_delay_s=0.05)
    speak(page, TEXT * 10)
    page.wait("document.querySelector('#made').textContent !== '–'")
    assert server.backend.num_open_streams == 1
    page.click("#stop")
    server.wait_until_idle()
    page.wait("document.querySelector('#line').textContent.startsWith('Stopped after')")
    page.run("window.heard = []")
    time.sleep(0.2)
    assert page.run("window.heard.length") == 0


def test_speaking_again_takes_the_place_of_what_is_spoken(page: Browser, server: Server) -> None:
    server.backend.configure(chunk_delay_s=0.05)
    speak(page, TEXT * 10)
    page.wait("document.querySelector('#made').textContent !== '–'")
    server.backend.configure(chunk_delay_s=0.0)
    speak(page, "Short.")
    page.wait("document.querySelector('#line').textContent === 'Done: 0.3 s of speech'")
    server.wait_until_idle()


@pytest.mark.parametrize(
    ("error", "title", "detail"),
    [
        (InvalidAudio("It has no sound; send WAV.", field="input"), "The recording cannot be used.", "It has no sound"),
        (SynthesisFailed("It failed; send it again."), "The service could not do this.", "It failed"),
        (StorageFailed("No disk."), "Where voices are kept cannot be reached.", "No disk."),
    ],
)
def test_errors_are_told_in_words(
    browser: Browser, server: Server, error: ServiceError, title: str, detail: str
) -> None:
    open_studio(browser, server)
    server.backend.configure(error=error)
    speak(browser)
    browser.wait("!document.querySelector('#trouble').hidden")
    assert browser.text("#trouble-title") == title
    assert detail in browser.text("#trouble-detail")
    server.backend.configure(error=None)
    browser.click("#speak")
    browser.wait(f"{IS_OVER} && document.querySelector('#trouble').hidden")


def test_empty_text_is_told_and_focused(browser: Browser, server: Server) -> None:
    open_studio(browser, server)
    speak(browser, "  ")
    browser.wait("document.querySelector('#trouble-title').textContent === 'There is nothing to speak.'")
    assert browser.focused() == "text"


def test_speech_that_breaks_off_is_told_and_kept(browser: Browser, server: Server) -> None:
    open_studio(browser, server)
    server.backend.configure(fails_after_chunks=3, chunk_delay_s=0.05)
    speak(browser)
    browser.wait(f"!document.querySelector('#trouble').hidden && {IS_OVER}")
    assert browser.text("#made") == "0.3 s"


def test_full_service_is_asked_again_when_it_said(browser: Browser, server: Server) -> None:
    open_studio(browser, server)
    server.backend.configure(error=Overloaded("Full; try again.", retry_after_s=1.0))
    speak(browser)
    browser.wait("document.querySelector('#line').textContent === 'The service is full; trying again in 1 s'")
    server.backend.configure(error=None)
    browser.wait(IS_OVER)
    assert browser.run("document.querySelector('#trouble').hidden")


def test_page_waits_for_the_model(browser: Browser, server: Server) -> None:
    server.backend.configure(is_ready=False)
    browser.run("0")
    browser.open(server.url)
    browser.wait("document.querySelector('#status').dataset.state === 'modelLoading'")
    speak(browser)
    browser.wait("document.querySelector('#line').textContent.startsWith('The model is loading; trying again in')")
    assert browser.text("#said") == "The model is loading; it will be tried again"
    browser.click("#stop")
    browser.wait("document.querySelector('#line').textContent.startsWith('Stopped')")
    browser.click("#tab-code")
    assert '"voice": "default"' in browser.text("#curl")  # which is what it will be asked for once it is there
    server.backend.configure(is_ready=True)
    browser.wait("document.querySelector('#status').dataset.state === 'modelReady'")


def test_keyboard_alone_speaks_and_moves(page: Browser, server: Server) -> None:
    page.press("Tab")
    assert page.text("a.skip") == "Skip to the text" and page.focused() == "A"
    page.press("Enter")
    page.press("Tab")
    page.run("document.querySelector('#text').focus()")
    page.command(
        "Input.dispatchKeyEvent", type="keyDown", key="a", code="KeyA", modifiers=CONTROL, commands=["selectAll"]
    )
    page.type("Typed by hand.")
    page.press("Enter", CONTROL)
    page.wait(IS_OVER)
    assert server.backend.requests[-1].turns[0].text == "Typed by hand."
    page.run("document.querySelector('#tab-speak').focus()")
    page.press("ArrowRight")
    assert page.focused() == "tab-dialogue" and page.run("!document.querySelector('#panel-dialogue').hidden")
    page.run("document.querySelector('#slider').focus()")
    page.press("ArrowRight")
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_tab_visits_everything_in_reading_order(page: Browser) -> None:
    page.run("document.querySelector('#text').focus()")
    visited = ["text"]
    while visited[-1] != "BODY" and len(visited) < 20:
        page.press("Tab")
        visited.append(page.focused())
    in_order = [name for name in visited if name in ("text", "voice", "language", "speed", "blend", "seed", "speak")]
    assert in_order == ["text", "voice", "language", "speed", "blend", "seed", "speak"]
