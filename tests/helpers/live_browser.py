"""A browser without a window that a test clicks through: Chromium, told over a pipe what to do (DevTools protocol)."""

import base64
import itertools
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from helpers.browser import BROWSER

_OPTIONS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # A camera that shows a moving test picture, and is allowed without a question.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--remote-debugging-pipe",
)
_SECONDS: Final = 30.0
"""Longest wait for an answer, or for what a test waits for."""


class Tab:
    """A page in a browser.

    Attributes:
        console: what was logged as a warning or an error, exceptions and breaches of the page's policy among it.
        requested: addresses of what the page asked a server for, in order.
        target: the browser's name for it.
    """

    def __init__(self, browser: "Browser", session: str, target: str) -> None:
        self._browser, self._session, self.target = browser, session, target
        self.console: list[str] = []
        self.requested: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - the protocol's
        """Call a method of the DevTools protocol and return its result."""
        return self._browser.call(method, parameters, self._session)

    def open(self, address: str) -> None:
        """Go to an address; what is loaded there may take longer."""
        self.send("Page.navigate", url=address)

    def run(self, code: str) -> Any:  # noqa: ANN401 - whatever the page gives
        """Return the value of a JavaScript expression in the page; a promise is awaited."""
        answer = self.send("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, code: str) -> Any:  # noqa: ANN401 - whatever the page gives
        """Return the value of an expression once it is true."""
        end = time.monotonic() + _SECONDS
        while not (value := self.run(code)):
            assert time.monotonic() < end, (code, self.text("body"), self.console)
            time.sleep(0.02)
        return value

    def text(self, selector: str) -> str:
        """Return the text of an element as it is shown."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def click(self, selector: str) -> None:
        """Click with the mouse on the middle of an element, which must not be covered by another one."""
        element = f"document.querySelector({json.dumps(selector)})"
        box = self.run(
            f"(() => {{ const e = {element}; e.scrollIntoView({{block: 'center'}});"
            "const b = e.getBoundingClientRect();"
            "const x = b.x + b.width / 2, y = b.y + b.height / 2;"
            "return {x, y, hit: e.contains(document.elementFromPoint(x, y))}; })()"
        )
        assert box["hit"], f"{selector} is covered or hidden"
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=box["x"], y=box["y"], button="left", clickCount=1)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key: its name, Windows' key code, and the text that it types."""
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if kind == "keyDown" and text else {}
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **typed)

    def choose(self, selector: str, *files: Path) -> None:
        """Choose files in a file field, as its dialogue would."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def drop(self, selector: str, file: Path) -> None:
        """Drop a file on the middle of an element."""
        point = self.run(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            "return {x: b.x + b.width / 2, y: b.y + b.height / 2}; })()"
        )
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", type=kind, data=data, **point)

    def show_as(self, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Set the window's size, and whether its user likes it dark."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)

    def screenshot(self, file: Path) -> None:
        """Write what is shown, and what is below it, as a PNG file."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def take(self, event: str, told: dict[str, Any]) -> None:
        """Take note of an event of the page."""
        if event == "Network.requestWillBeSent":
            address = told["request"]["url"]
            self.requested += [] if address.startswith(("data:", "blob:")) else [address]
        elif event == "Runtime.consoleAPICalled" and told["type"] in ("warning", "error", "assert"):
            self.console.append(str([part.get("value", part.get("description")) for part in told["args"]]))
        elif event == "Runtime.exceptionThrown":
            self.console.append(str(told["exceptionDetails"].get("exception", told)))
        elif event == "Log.entryAdded" and told["entry"]["level"] in ("warning", "error"):
            self.console.append(told["entry"]["text"])


class Browser:
    """A running browser."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._numbers, self._rest = itertools.count(1), b""
        self._tabs: dict[str, Tab] = {}

    def new_tab(self) -> Tab:
        """Open an empty page."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        tab = Tab(self, session, target)
        self._tabs[session] = tab
        return tab

    def close(self, tab: Tab) -> None:
        """Close a page, so that what it holds is free."""
        self.call("Target.closeTarget", {"targetId": tab.target})

    def call(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        """Call a method and return its result; events that come before it are given to their page."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == number:
                assert "error" not in told, (method, told["error"])
                result: dict[str, Any] = told["result"]
                return result
            if (tab := self._tabs.get(told.get("sessionId", ""))) and "method" in told:
                tab.take(told["method"], told["params"])

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + _SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._reading], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self._reading, 1 << 20)
            assert part, "the browser has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told


@contextmanager
def running_browser(folder: Path) -> Iterator[Browser]:
    """Start a browser, whose files go to `folder`; it ends with the block."""
    commands, answers = os.pipe(), os.pipe()
    # It reads from descriptor 3 and writes to 4, whatever numbers the pipes have here.
    shell = ["bash", "-c", f'exec "$@" 3<&{commands[0]} 4>&{answers[1]}', "bash"]
    process = subprocess.Popen(
        [*shell, str(BROWSER), *_OPTIONS, f"--user-data-dir={folder / 'profile'}"],
        pass_fds=(commands[0], answers[1]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands[0])
    os.close(answers[1])
    try:
        yield Browser(answers[0], commands[1])
    finally:
        os.close(commands[1])
        process.terminate()
        process.wait(timeout=20)
        os.close(answers[0])
