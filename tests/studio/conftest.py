"""One browser for all tests of a module, and a server over the fake backend for each of them."""

from collections.abc import Generator
from pathlib import Path

import pytest

from serve_app.settings import Settings
from tests.api.conftest import Server, running
from tests.studio.browser import Browser, browsing


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Generator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as browser:
        browser.run("new AudioContext().resume()")  # the first one opens the loudspeaker, which takes a while
        yield browser


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(voice_dir=tmp_path / "voices", max_text_chars=500, max_streamed_chars=500)


@pytest.fixture
def server(settings: Settings) -> Generator[Server]:
    with running(settings) as server:
        yield server


@pytest.fixture
def page(browser: Browser, server: Server) -> Generator[Browser]:
    """The studio, open and ready in English; nothing may be red in its console, and no other host be asked."""
    open_studio(browser, server)
    yield browser
    assert browser.complaints() == []
    assert [url for url in browser.requested() if not url.startswith((server.url, "blob:", "data:"))] == []


def open_studio(browser: Browser, server: Server, language: str = "en", **screen: object) -> None:
    browser.open(server.url, language=language, **screen)  # type: ignore[arg-type]
    browser.wait("document.querySelector('#voice').options.length > 1")
