"""The messages between the server and its worker processes, over standard input and output.

A frame is

====== ======================================================
bytes
====== ======================================================
4      the length of the payload, an unsigned big-endian integer
1      the kind of the payload: ``J`` for JSON, ``P`` for a picture
length the payload
====== ======================================================

The JSON of a frame is one of the models below; where there are several, the field ``type`` tells
which. A picture is an encoded image file. Both kinds of worker use the same frames:

- The painting worker takes ``PaintingOrder`` messages and sends ``PaintingEvent`` messages. It
  first sends ``WorkerReady``. It answers a query (``StylizeQuery``, ``EstimateQuery``) by a message
  with the same ``ticket``. It doesn't answer the other orders; a job that it began ends with
  ``JobEnded``. It sends ``WorkerActivity`` before and after it handles an order, so that the right
  job counts the crash if the process dies.
- The live worker takes ``LiveSettings`` and pictures (JPEG, PNG or WebP). It answers settings by
  ``LiveReady``, each picture by a JPEG, and either by ``LiveError``, all in the order of arrival.

The end of its standard input tells a worker that the server is gone.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, BinaryIO, Literal, NamedTuple

from pydantic import (
    BaseModel,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    model_serializer,
)

from impasto.studio.jobs.models import (
    EstimateResponse,
    FinalProgress,
    JobRequest,
    JsonObject,
    PictureRequest,
    StepProgress,
    StoredRecipe,
)

HEAD_BYTES = 5
FrameKind = Literal[b"J", b"P"]
JSON_FRAME: FrameKind = b"J"
PICTURE_FRAME: FrameKind = b"P"


class ProtocolError(Exception):
    """Bytes that aren't a frame or a message of this protocol."""


class MessageFrame(NamedTuple):
    """The kind and the payload of a frame."""

    kind: FrameKind
    payload: bytes


def encode_frame(kind: FrameKind, payload: bytes) -> bytes:
    """Return the bytes of a frame."""
    return len(payload).to_bytes(4, "big") + kind + payload


def encode_message(message: BaseModel) -> bytes:
    """Return the bytes of a frame with a message."""
    return encode_frame(JSON_FRAME, message.model_dump_json().encode())


def _decode_head(head: bytes) -> tuple[int, FrameKind]:
    length, kind = int.from_bytes(head[:4], "big"), head[4:]
    if kind == JSON_FRAME:
        return length, JSON_FRAME
    if kind == PICTURE_FRAME:
        return length, PICTURE_FRAME
    raise ProtocolError(f"there is no frame of the kind {kind!r}")


def read_frame(stream: BinaryIO) -> MessageFrame | None:
    """Return the next frame, or None at the end. For a worker, which trusts the server.

    Raises:
        ProtocolError: It isn't a frame.
    """
    head = stream.read(HEAD_BYTES)
    if len(head) < HEAD_BYTES:
        return None
    length, kind = _decode_head(head)
    payload = stream.read(length)
    return MessageFrame(kind, payload) if len(payload) == length else None


async def receive_frame(stream: asyncio.StreamReader, max_bytes: int) -> MessageFrame | None:
    """Return the next frame, or None at the end. For the server.

    Args:
        stream: The standard output of a worker.
        max_bytes: The largest payload that is accepted.

    Raises:
        ProtocolError: It isn't a frame, or too large.
    """
    try:
        length, kind = _decode_head(await stream.readexactly(HEAD_BYTES))
        if length > max_bytes:
            raise ProtocolError(f"a frame of {length} bytes; the limit is {max_bytes}")
        return MessageFrame(kind, await stream.readexactly(length))
    except asyncio.IncompleteReadError:
        return None


# From the server to the painting worker


class RunOrder(BaseModel):
    """Begin or continue a job."""

    type: Literal["run"] = "run"
    job: str
    folder: str
    request: JobRequest
    previews: int = 0
    """The number of previews that were written before."""


class StopOrder(BaseModel):
    """Stop a job after the current step, and keep the picture."""

    type: Literal["stop"] = "stop"
    job: str


class DropOrder(BaseModel):
    """Stop a job and discard the picture. Answered by ``JobDropped``."""

    type: Literal["drop"] = "drop"
    job: str


class StylizeQuery(BaseModel):
    """Make a picture at once. Answered by ``StylizeAnswer`` or ``QueryFailed``."""

    type: Literal["stylize"] = "stylize"
    ticket: int
    folder: str
    request: PictureRequest


class EstimateQuery(BaseModel):
    """Estimate what a picture takes. Answered by ``EstimateAnswer`` or ``QueryFailed``."""

    type: Literal["estimate"] = "estimate"
    ticket: int
    recipe: StoredRecipe
    width: int
    height: int


Query = StylizeQuery | EstimateQuery
PaintingOrder = RunOrder | StopOrder | DropOrder | Query
_PAINTING_ORDER: TypeAdapter[PaintingOrder] = TypeAdapter(
    Annotated[PaintingOrder, Field(discriminator="type")]
)


def decode_painting_order(frame: MessageFrame) -> PaintingOrder:
    """Return the order in a frame. Raise ValidationError if there is none."""
    return _PAINTING_ORDER.validate_json(frame.payload)


# From the painting worker to the server


class WorkerReady(BaseModel):
    """The worker takes orders."""

    type: Literal["ready"] = "ready"
    device: str
    reason: str
    """Why the device was selected."""


class WorkerActivity(BaseModel):
    """The order or job that the worker handles from now on."""

    type: Literal["activity"] = "activity"
    job: str | None
    """The job of the order, "" for a query, or None for the next step of the current job."""


class JobAdvanced(BaseModel):
    """A job has taken a step."""

    type: Literal["advanced"] = "advanced"
    job: str
    progress: StepProgress


class JobEnded(BaseModel):
    """A job has ended. Also the content of ``ended.json`` in the job's folder."""

    type: Literal["ended"] = "ended"  # files of earlier versions don't have it
    job: str
    ended: Literal["done", "stopped", "failed"]
    progress: FinalProgress | None = None
    error: str | None = None


class JobDropped(BaseModel):
    """The worker has let go of a job."""

    type: Literal["dropped"] = "dropped"
    job: str


class StylizeAnswer(BaseModel):
    """The picture is in a file of the query's folder."""

    type: Literal["stylized"] = "stylized"
    ticket: int
    file: str


class EstimateAnswer(BaseModel):
    """The estimate of a query."""

    type: Literal["estimated"] = "estimated"
    ticket: int
    estimate: EstimateResponse


class QueryFailed(BaseModel):
    """A query can't be answered."""

    type: Literal["query-failed"] = "query-failed"
    ticket: int
    error: str
    cause: Literal["settings", "image", "internal"]
    """The part of the request that the client can change to avoid the error, if any."""


QueryAnswer = StylizeAnswer | EstimateAnswer | QueryFailed
PaintingEvent = WorkerReady | WorkerActivity | JobAdvanced | JobEnded | JobDropped | QueryAnswer
_PAINTING_EVENT: TypeAdapter[PaintingEvent] = TypeAdapter(
    Annotated[PaintingEvent, Field(discriminator="type")]
)


def decode_painting_event(frame: MessageFrame) -> PaintingEvent:
    """Return the event in a frame. Raise ValidationError if there is none."""
    return _PAINTING_EVENT.validate_json(frame.payload)


# Between the server and the live worker


class LiveSettings(BaseModel):
    """The settings of a live session that a client sends, any of them at any time.

    The live worker checks the values, so that its sentences name the bounds. It ignores unknown
    settings.
    """

    style: JsonValue = None
    painting: JsonValue = None
    strength: JsonValue = None
    strokes: JsonValue = None
    rate: JsonValue = None

    def given(self) -> JsonObject:
        """Return the settings that the client sent."""
        return self.model_dump()

    @model_serializer(mode="wrap")
    def _only_given(self, serialize: SerializerFunctionWrapHandler) -> JsonObject:
        values = serialize(self)
        return {name: values[name] for name in values if name in self.model_fields_set}


class LiveReady(BaseModel):
    """The settings have been accepted."""

    type: Literal["ready"] = "ready"
    method: str
    """The method that paints the pictures."""


class LiveError(BaseModel):
    """A picture or settings can't be used."""

    type: Literal["error"] = "error"
    error: str
    picture: bool
    """Whether the error answers a picture."""


LiveEvent = LiveReady | LiveError
_LIVE_EVENT: TypeAdapter[LiveEvent] = TypeAdapter(Annotated[LiveEvent, Field(discriminator="type")])


def decode_live_event(frame: MessageFrame) -> LiveEvent:
    """Return the event in a frame. Raise ValidationError if there is none."""
    return _LIVE_EVENT.validate_json(frame.payload)
