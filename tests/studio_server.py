"""A studio to test: the real command in a process of its own, or the application in this one."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import uvicorn
from PIL import Image

from impasto.studio.server.app import create_app
from impasto.studio.server.settings import Settings

QUICK = {"preset": "draft", "size": 64, "steps": 30}
INSTANT = {"method": "instant", "size": 64}
SLOW = {"preset": "draft", "size": 96, "steps": 3000, "scales": 1}

SAFE: tuple[str, ...] = ()
"""``-P``: without the working directory, as the installed command runs."""


class Studio:
    """``impasto studio`` on a free port, with its data in a folder."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data, self.options = data, options
        self.home = data.with_name(f"{data.name}-home")
        """The folder of the user's data, with the library of styles."""
        self.start()

    def start(self, port: str = "0") -> None:
        program = [sys.executable, *SAFE, "-m", "impasto"]
        command = [*program, "studio", "--port", port, "--data", self.data]
        self.process = subprocess.Popen(
            [*map(str, command), *self.options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "XDG_DATA_HOME": str(self.home)},
        )
        line = self.process.stdout.readline().decode()
        address = re.search(r"https?://\S+", line)
        assert address, (line, self.process.stderr.read())
        self.address = address[0].split("/?")[0].rstrip("/")
        self.errors: list[bytes] = []
        threading.Thread(
            target=lambda: self.errors.extend(self.process.stderr), daemon=True
        ).start()
        self.client = httpx.Client(base_url=self.address, timeout=60, verify=False)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 60
        if "--token" in self.options:
            token = self.options[self.options.index("--token") + 1]
            self.client.headers["Authorization"] = f"Bearer {token}"
        while self.client.get("/v1/health").json()["status"] != "ok":
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def kill(self) -> None:
        """Without warning, as a power cut would; the workers notice."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def job(self, photo: Image.Image, painting: Image.Image, recipe: dict, **form) -> dict:
        files = {"content": ("photo.png", png(photo)), "styles": ("painting.png", png(painting))}
        answer = self.client.post(
            "/v1/jobs", files=files, data={"recipe": json.dumps(recipe)} | form
        )
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
        return answer.json()

    def learn(self, painting: Image.Image, settings: dict, **form) -> dict:
        files = {"styles": ("painting.png", png(painting))}
        answer = self.client.post(
            "/v1/learn", files=files, data={"settings": json.dumps(settings)} | form
        )
        assert answer.status_code == 202, answer.text
        return answer.json()

    def library(self) -> list[str]:
        """The names of the styles in the user's library."""
        return sorted(path.stem for path in self.home.glob("impasto/styles/*.style"))

    def get(self, id: str) -> dict:
        return self.client.get(f"/v1/jobs/{id}").raise_for_status().json()

    def wait(self, id: str, *states: str, step: int = 0, seconds: float = 90) -> dict:
        """Until the job is in one of the states (and that far)."""
        deadline = time.monotonic() + seconds
        while (job := self.get(id))["state"] not in states or job["step"] < step:
            assert job["state"] in ("queued", "running"), job
            assert time.monotonic() < deadline, job
            time.sleep(0.05)
        return job


@contextmanager
def running(data: Path, *options: str) -> Iterator[Studio]:
    studio = Studio(data, *options)
    try:
        studio.wait_until_ready()
        yield studio
    finally:
        if studio.process.poll() is None:
            studio.end()


@contextmanager
def served(settings: Settings, **options) -> Iterator[str]:
    """The application alone, in a thread of this process: its address."""
    app = create_app(settings)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1, **options)
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
