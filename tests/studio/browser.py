"""A real Chromium without a window, driven by the DevTools protocol: what a person does, and what the page did."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*", "--hide-scrollbars", "--disable-background-networking"),
    *("--autoplay-policy=no-user-gesture-required", "--use-fake-device-for-media-stream"),
    "--use-fake-ui-for-media-stream",
)
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowRight": 39}
CONTROL, SHIFT = 2, 8

# What goes to the loudspeaker, and what the page's policy forbade.
CAPTURE = """
  window.heard = [];
  const start = AudioBufferSourceNode.prototype.start;
  AudioBufferSourceNode.prototype.start = function (...when) {
    window.heard.push([...this.buffer.getChannelData(0)]);
    return start.apply(this, when);
  };
  window.violations = [];
  addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium: run scripts/get-chromium")
    return found


class Browser:
    """One page of a running Chromium. Commands are those of the DevTools protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._number = connection, 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.command(f"{domain}.enable")
        self.command("Page.addScriptToEvaluateOnNewDocument", source=CAPTURE)

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message: dict[str, Any] = json.loads(self._connection.recv(timeout=20))
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def open(
        self, url: str, *, width: int = 1280, height: int = 900, language: str = "en", scheme: str = "light"
    ) -> None:
        """The page anew, as somebody sees it with this screen, language and colour scheme."""
        self.command("Page.navigate", url="about:blank")
        self.events.clear()
        self.command("Storage.clearDataForOrigin", origin=url, storageTypes="local_storage")
        self.view(width, height, scheme)
        self.command("Emulation.setUserAgentOverride", userAgent="test", acceptLanguage=language)
        self.command("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && !!document.querySelector('h1')?.textContent")

    def view(self, width: int, height: int, scheme: str = "light") -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.command("Emulation.setEmulatedMedia", features=features)

    def run(self, expression: str) -> Any:
        """The value of an expression in the page, awaited."""
        answer = self.command(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str, timeout_s: float = 10.0) -> Any:
        """Its value, once it is true."""
        deadline_s = time.monotonic() + timeout_s
        while not (value := self.run(expression)):
            assert time.monotonic() < deadline_s, f"{expression} is {value!r}"
            time.sleep(0.02)
        return value

    def text(self, selector: str) -> str:
        return str(self.run(f"document.querySelector({selector!r}).textContent"))

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({selector!r}).click()")

    def fill(self, selector: str, value: str) -> None:
        """Sets a field as if it had been typed in."""
        self.run(f"""(() => {{ const field = document.querySelector({selector!r}); field.value = {json.dumps(value)};
          for (const name of ["input", "change"]) field.dispatchEvent(new Event(name, {{ bubbles: true }})); }})()""")

    def press(self, key: str, modifiers: int = 0) -> None:
        fields = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": modifiers}
        text = {"text": "\r" if key == "Enter" else " "} if key in ("Enter", " ") and not modifiers else {}
        self.command("Input.dispatchKeyEvent", type="keyDown", **fields, **text)
        self.command("Input.dispatchKeyEvent", type="keyUp", **fields)

    def type(self, text: str) -> None:
        self.command("Input.insertText", text=text)

    def focused(self) -> str:
        return str(self.run("document.activeElement.id || document.activeElement.tagName"))

    def upload(self, selector: str, path: Path) -> None:
        document = self.command("DOM.getDocument")["root"]["nodeId"]
        node = self.command("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        self.command("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def screenshot(self, path: Path, *, is_whole: bool = True) -> bytes:
        data = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=is_whole)["data"]
        path.write_bytes(base64.b64decode(data))
        return path.read_bytes()

    def requested(self) -> list[str]:
        """Every URL that the page asked for."""
        self.run("0")
        sent = [each for each in self.events if each["method"] == "Network.requestWillBeSent"]
        return [each["params"]["request"]["url"] for each in sent]

    def complaints(self) -> list[str]:
        """What a developer would see in red: errors of the console, exceptions, and what the policy forbade."""
        found = [f"policy: {each}" for each in self.run("window.violations")]
        for each in self.events:
            parameters = each.get("params", {})
            if each["method"] == "Runtime.exceptionThrown":
                found.append(str(parameters["exceptionDetails"].get("exception", {}).get("description")))
            elif each["method"] == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                found.append(parameters["entry"]["text"] + " " + parameters["entry"].get("url", ""))
            elif each["method"] == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
                found.append(str(parameters["args"]))
        return found


@contextmanager
def browsing(profile: Path) -> Generator[Browser]:
    """A browser of its own, with a folder for what it keeps."""
    command = [chromium(), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _until(lambda: _port(profile))
        page = _until(lambda: _page(port))
        with connect(page, max_size=None, compression=None) as connection:
            yield Browser(connection)
    finally:
        process.terminate()
        process.wait(20)


def _port(profile: Path) -> int | None:
    path = profile / "DevToolsActivePort"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return int(lines[0]) if len(lines) > 1 else None


def _page(port: int) -> str | None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
        pages = [each for each in json.load(answer) if each["type"] == "page"]
    return str(pages[0]["webSocketDebuggerUrl"]) if pages else None


def _until(look: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    deadline_s = time.monotonic() + timeout_s
    while (found := look()) is None:
        assert time.monotonic() < deadline_s, "Chromium did not start"
        time.sleep(0.05)
    return found
