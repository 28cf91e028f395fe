"""Live pictures over a WebSocket, each session painted by a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os

from fastapi import APIRouter, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from starlette.types import Message

from impasto.images.limits import Limits
from impasto.images.opening import DAMAGE, damaged, open_image
from impasto.studio.jobs.errors import BRIEF_RETRY, ProblemError
from impasto.studio.jobs.text import parse_json
from impasto.studio.server import problems
from impasto.studio.server.context import STREAM, Studio, studio_of
from impasto.studio.server.responses import content
from impasto.studio.workers.process import python_module
from impasto.studio.workers.protocol import (
    JSON_FRAME,
    PICTURE_FRAME,
    LiveError,
    LiveReady,
    LiveSettings,
    MessageFrame,
    decode_live_event,
    encode_frame,
    receive_frame,
)

log = logging.getLogger("impasto.studio")

router = APIRouter()

MAX_SESSIONS = 2
"""Live sessions at the same time: each takes all of the machine that it can get."""
MAX_PENDING_PICTURES = 4
"""A client with more unanswered pictures doesn't keep to the protocol."""
MAX_MESSAGE_BYTES = 8_000_000
"""The largest message of a client."""
MAX_FRAME_BYTES = 64_000_000
"""The largest painted picture: far more than a JPEG of 4 megapixels can have."""
IDLE_S = 60.0
JPEG_FORMATS = ("JPEG", "MPO")
SHOWN = Limits(max_megapixels=34)
"""The size of a picture in 8K."""
END_OF_JPEG = b"\xff\xd9"
BUSY = "others are live already; try again later"
CLOSE_POLICY, CLOSE_BUSY, CLOSE_GONE = 1008, 1013, 1011
"""Close codes of WebSockets (RFC 6455)."""


@router.post(
    "/live/shown",
    status_code=204,
    tags=["live"],
    responses=problems.responses(415),
    openapi_extra={"requestBody": {"required": True, "content": {"image/jpeg": {}}}},
)
async def show(request: Request) -> None:
    """Show a painted picture, a JPEG of up to 1 MB, to all viewers."""
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


@router.get(
    "/live/shown",
    response_class=StreamingResponse,
    tags=["live"],
    responses=content("multipart/x-mixed-replace"),
)
async def watch(request: Request) -> StreamingResponse:
    """Return the pictures that are sent, one replacing the other. The answer doesn't end."""
    broadcast = studio_of(request).broadcast
    if broadcast.is_full:
        raise ProblemError(503, "too many are watching; try again later", **BRIEF_RETRY)
    kind = f"multipart/x-mixed-replace; boundary={broadcast.boundary}"
    return StreamingResponse(broadcast.parts(), media_type=kind, headers=STREAM)


@router.websocket("/live")
async def live(socket: WebSocket) -> None:
    """Take settings as JSON text and pictures as binary messages; send painted pictures."""
    studio: Studio = socket.app.state.studio
    await socket.accept()
    if studio.live_sessions >= MAX_SESSIONS:
        await _refuse(socket, BUSY, CLOSE_BUSY)
        return
    studio.live_sessions += 1
    try:
        await _SocketRelay(socket).run()
    finally:
        studio.live_sessions -= 1


async def _refuse(socket: WebSocket, sentence: str, code: int) -> None:
    """Send an error and close the socket."""
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.send_json({"error": sentence})
        await socket.close(code)


class _SocketRelay:
    """Passes messages between a client and the process that paints for it."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.pending_pictures = 0
        """Pictures that haven't been answered."""

    async def run(self) -> None:
        """Start the process, and relay until the client or the process ends."""
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
            await _refuse(self.socket, BUSY, CLOSE_BUSY)
            return
        tasks = [
            asyncio.create_task(self._relay_to(process)),
            asyncio.create_task(self._relay_from(process)),
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
                process.kill()  # a live session has nothing to save
            await asyncio.gather(*tasks, return_exceptions=True)
            # asyncio notices the end of a process only when its output has been read.
            await process.communicate()

    async def _relay_to(self, process: asyncio.subprocess.Process) -> None:
        """Relay from the client to the process, until the client leaves or is silent."""
        assert process.stdin is not None
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    message = await self.socket.receive()
            except TimeoutError:
                await _refuse(self.socket, "nothing came for a minute", CLOSE_POLICY)
                return
            if message["type"] == "websocket.disconnect":
                return
            frame = _frame(message)
            if frame is None or len(frame.payload) > MAX_MESSAGE_BYTES:
                await _refuse(
                    self.socket, "settings are a JSON object, pictures bytes", CLOSE_POLICY
                )
                return
            self.pending_pictures += frame.kind == PICTURE_FRAME
            if self.pending_pictures > MAX_PENDING_PICTURES:
                await _refuse(self.socket, "wait for the answers to your pictures", CLOSE_POLICY)
                return
            process.stdin.write(encode_frame(*frame))
            await process.stdin.drain()

    async def _relay_from(self, process: asyncio.subprocess.Process) -> None:
        """Relay from the process to the client, until the process ends."""
        assert process.stdout is not None
        while (frame := await receive_frame(process.stdout, MAX_FRAME_BYTES)) is not None:
            if frame.kind == PICTURE_FRAME:
                self.pending_pictures -= 1
                await self.socket.send_bytes(frame.payload)
                continue
            match decode_live_event(frame):
                case LiveReady(method=method):
                    await self.socket.send_json({"ready": True, "method": method})
                case LiveError(error=sentence, picture=is_picture):
                    self.pending_pictures -= is_picture
                    await self.socket.send_json({"error": sentence, "picture": is_picture})
        await _refuse(self.socket, "the painting process ended", CLOSE_GONE)


def _frame(message: Message) -> MessageFrame | None:
    """Return the frame for a message of the client, or None if it makes no sense."""
    if message.get("bytes") is not None:
        return MessageFrame(PICTURE_FRAME, message["bytes"])
    try:
        settings = LiveSettings.model_validate(parse_json(message.get("text") or ""))
    except (ValueError, RecursionError):
        return None
    return MessageFrame(JSON_FRAME, settings.model_dump_json().encode())
