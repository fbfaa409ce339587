"""Chromium without a window, driven through its debugging pipe, and a server of static files: what tests of the page need.

Nothing but Python's standard library is used."""

import base64
import functools
import http.server
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time


class Failed(Exception):
    """What the page or the browser said."""


def serve(folder):
    """A plain server of a folder, without any special header. Returns it; server_port is its port."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Browser:
    """One tab. Commands are those of the DevTools protocol; `events` are all that have come."""

    def __init__(self, program, *options, seconds=300):
        self.folder = tempfile.mkdtemp()
        self.end = time.monotonic() + seconds
        to_browser, self._to = os.pipe()
        self._from, from_browser = os.pipe()
        # The pipe's ends have to be 3 and 4, which a shell puts them at.
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", program, "--headless=new",
             "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe",
             "--disable-background-networking", "--disable-component-update", f"--user-data-dir={self.folder}/profile",
             *options, "about:blank"],
            pass_fds=[to_browser, from_browser], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self._input, self._next, self._answers, self.events = b"", 0, {}, []
        self._arrived = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self._session = None
        page = next(t for t in self("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self(f"{domain}.enable")

    def _read(self):
        while True:
            piece = os.read(self._from, 1 << 20)
            with self._arrived:
                if not piece:
                    self._answers[None] = True
                    self._arrived.notify_all()
                    return
                self._input += piece
                *messages, self._input = self._input.split(b"\0")
                for message in map(json.loads, messages):
                    if "id" in message:
                        self._answers[message["id"]] = message
                    else:
                        self.events.append(message)
                self._arrived.notify_all()

    def __call__(self, method, **params):
        self._next += 1
        message = {"id": self._next, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data):]
        with self._arrived:
            while message["id"] not in self._answers:
                if None in self._answers:
                    raise Failed("the browser has ended")
                if not self._arrived.wait(max(0, self.end - time.monotonic())):
                    raise Failed(f"{method}: no answer in time")
            answer = self._answers.pop(message["id"])
        if "error" in answer:
            raise Failed(f"{method}: {answer['error']}")
        return answer["result"]

    def run(self, expression):
        """The value of a JavaScript expression in the page, awaited."""
        answer = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True)
        if "exceptionDetails" in answer:
            raise Failed(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def until(self, expression):
        """Waits until an expression is true."""
        while not self.run(expression):
            if time.monotonic() > self.end:
                raise Failed(f"not in time: {expression}; the page says: {self.run('document.body.innerText')}")
            time.sleep(0.1)

    def open(self, url):
        self("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def choose(self, selector, *files):
        """Puts files into a file input."""
        root = self("DOM.getDocument")["root"]["nodeId"]
        node = self("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self("DOM.setFileInputFiles", files=list(files), nodeId=node)

    def key(self, name, code=None):
        for kind in ("keyDown", "keyUp"):
            self("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code or 0)

    def size(self, width, height, *, scale=1, phone=False):
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone)

    def dark(self, dark=True):
        self("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self("Page.captureScreenshot")["data"]))

    def downloads(self, folder):
        self("Browser.setDownloadBehavior", behavior="allow", downloadPath=folder, eventsEnabled=True)

    def close(self):
        try:
            self._session = None
            self("Browser.close")
            self._process.wait(10)
        except (Failed, OSError, subprocess.TimeoutExpired):
            self._process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
