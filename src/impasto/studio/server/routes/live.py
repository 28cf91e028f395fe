"""Live pictures over a WebSocket, each session painted by a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
from typing import Any

from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

from impasto.images.limits import Limits
from impasto.images.opening import DAMAGE, damaged, open_image
from impasto.studio.jobs.errors import BRIEF_RETRY, ProblemError
from impasto.studio.jobs.text import parse_json
from impasto.studio.server.context import STREAM, Studio, studio_of
from impasto.studio.workers.pool import python_module

log = logging.getLogger("impasto.studio")

router = APIRouter()

MOST_SESSIONS = 2
"""People who can be live at once: each takes all of the machine that it can get."""
MOST_WAITING = 4
"""A client with more unanswered pictures doesn't keep to the protocol."""
MOST_BYTES = 8_000_000
IDLE_S = 60.0
JPEG_FORMATS = ("JPEG", "MPO")
SHOWN = Limits(max_megapixels=34)
"""Size of a picture in 8K."""
END_OF_JPEG = b"\xff\xd9"
BUSY = "others are live already; try again later"
POLICY, BUSY_CODE, GONE = 1008, 1013, 1011


@router.post("/live/shown", status_code=204, tags=["live"])
async def show(request: Request) -> None:
    """A painted picture, a JPEG of up to 1 MB, for whoever watches."""
    picture = await request.body()
    await asyncio.to_thread(_check_jpeg, picture)
    studio_of(request).broadcast.publish(picture)


def _check_jpeg(data: bytes) -> None:
    """Raise ImageError or ProblemError unless the bytes are a whole JPEG, and nothing else."""
    with open_image(io.BytesIO(data), "that picture", SHOWN) as image:
        if image.format not in JPEG_FORMATS or not data.endswith(END_OF_JPEG):
            raise ProblemError(415, "that isn't a JPEG")
        image.draft("L", (1, 1))  # decodes an eighth of the size, which is quicker
        try:
            image.load()
        except DAMAGE as error:
            raise damaged("that picture", error) from error


@router.get("/live/shown", response_class=StreamingResponse, tags=["live"])
async def watch(request: Request) -> StreamingResponse:
    """The pictures that are sent, one replacing the other; it doesn't end."""
    broadcast = studio_of(request).broadcast
    if broadcast.is_full:
        raise ProblemError(503, "too many are watching; try again later", **BRIEF_RETRY)
    kind = f"multipart/x-mixed-replace; boundary={broadcast.boundary}"
    return StreamingResponse(broadcast.parts(), media_type=kind, headers=STREAM)


@router.websocket("/live")
async def live(socket: WebSocket) -> None:
    """Settings as JSON text, pictures as binary messages; painted pictures back."""
    studio: Studio = socket.app.state.studio
    await socket.accept()
    if studio.live >= MOST_SESSIONS:
        await _refuse(socket, BUSY, BUSY_CODE)
        return
    studio.live += 1
    try:
        await _Session(socket).run()
    finally:
        studio.live -= 1


async def _refuse(socket: WebSocket, sentence: str, code: int) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.send_json({"error": sentence})
        await socket.close(code)


class _Session:
    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.waiting = 0

    async def run(self) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *python_module("impasto.studio.workers.live_worker"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
                env=dict(os.environ),
            )
        except OSError as error:  # no file, process or memory is left for it
            log.error("a live session: %s", error)
            await _refuse(self.socket, BUSY, BUSY_CODE)
            return
        tasks = [
            asyncio.create_task(self._to(process)),
            asyncio.create_task(self._from(process)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (failure := task.exception()) is not None:
                    log.error("a live session: %s", failure)
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(ProcessLookupError):
                process.kill()  # there is nothing that it would have to keep
            await asyncio.gather(*tasks, return_exceptions=True)
            await process.communicate()  # what nobody reads would keep it from being seen to end

    async def _to(self, process: asyncio.subprocess.Process) -> None:
        """From the client to the process, until it leaves or is silent."""
        assert process.stdin is not None
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    message = await self.socket.receive()
            except TimeoutError:
                await _refuse(self.socket, "nothing came for a minute", POLICY)
                return
            if message["type"] == "websocket.disconnect":
                return
            kind, data = _message(message)
            if kind is None or len(data) > MOST_BYTES:
                await _refuse(self.socket, "settings are a JSON object, pictures bytes", POLICY)
                return
            self.waiting += kind == b"P"
            if self.waiting > MOST_WAITING:
                await _refuse(self.socket, "wait for the answers to your pictures", POLICY)
                return
            process.stdin.write(len(data).to_bytes(4, "big") + kind + data)
            await process.stdin.drain()

    async def _from(self, process: asyncio.subprocess.Process) -> None:
        """From the process to the client, until it ends."""
        assert process.stdout is not None
        try:
            while True:
                head = await process.stdout.readexactly(5)
                data = await process.stdout.readexactly(int.from_bytes(head[:4], "big"))
                if head[4:] == b"P":
                    self.waiting -= 1
                    await self.socket.send_bytes(data)
                else:
                    answer = json.loads(data)
                    self.waiting -= bool(answer.get("picture"))
                    await self.socket.send_json(answer)
        except asyncio.IncompleteReadError:
            await _refuse(self.socket, "the painting process ended", GONE)


def _message(message: Any) -> tuple[bytes | None, bytes]:
    """Its letter and bytes; None for what makes no sense."""
    if message.get("bytes") is not None:
        return b"P", message["bytes"]
    try:
        settings = parse_json(message.get("text") or "")
    except (ValueError, RecursionError):
        return None, b""
    if not isinstance(settings, dict):
        return None, b""
    return b"J", json.dumps(settings).encode()
