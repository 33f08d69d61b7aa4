"""Debian's Chromium, headless, driven over its DevTools protocol: go somewhere, ask the page, take a picture."""

import base64
import contextlib
import http.client
import itertools
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
]
START_S = 20.0


class Browser:
    """One tab."""

    def __init__(self, wire: ClientConnection) -> None:
        self._wire = wire
        self._numbers = itertools.count(1)
        self.problems: list[str] = []  # script errors and violations of the page's policy
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one DevTools command and return its result."""
        number = next(self._numbers)
        self._wire.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._wire.recv(timeout=START_S))
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])
            self._note(message)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Runtime.exceptionThrown":
            self.problems.append(
                str(event["params"]["exceptionDetails"].get("exception", event["params"]))
            )
        if event.get("method") == "Log.entryAdded":
            entry = event["params"]["entry"]
            if entry["level"] == "error" and "favicon" not in entry.get("url", ""):
                self.problems.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}")

    def go(self, url: str) -> None:
        """Open a page."""
        self.call("Page.navigate", url=url)

    def ask(self, script: str) -> Any:
        """Return what an expression is worth in the page."""
        result = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, script: str, *, seconds: float = 15.0) -> Any:
        """Return the expression's value once it is true."""
        deadline = time.monotonic() + seconds
        value: Any = None
        while time.monotonic() < deadline:
            with contextlib.suppress(AssertionError):
                value = self.ask(script)
                if value:
                    return value
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {script} (now {value!r}); {self.problems}")

    def picture(self, path: Path, *, width: int = 1280, height: int = 900) -> None:
        """Take a picture of the page at a window size."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))


@contextlib.contextmanager
def browser(program: str = "/usr/bin/chromium") -> Iterator[Browser]:
    """Start a browser with a profile of its own, and end it."""
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with connect(_tab(Path(profile)), max_size=1 << 26) as wire:
                yield Browser(wire)
        finally:
            process.terminate()
            process.wait(10)


def _tab(profile: Path) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, StopIteration):
            port = int((profile / "DevToolsActivePort").read_text().splitlines()[0])
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            with contextlib.closing(asked):
                asked.request("GET", "/json")
                pages = json.loads(asked.getresponse().read())
            return str(next(p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page"))
        time.sleep(0.1)
    raise AssertionError("the browser does not start")
