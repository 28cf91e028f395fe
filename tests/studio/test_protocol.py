"""Messages between the server and its workers."""

from __future__ import annotations

import asyncio
import io
import json

import pytest
from pydantic import ValidationError
from test_text import REQUEST, picture_request

from impasto.studio.jobs.models import (
    JOB_REQUEST,
    EstimateResponse,
    FilmRequest,
    FinalProgress,
    PictureSize,
    StepProgress,
    StoredRecipe,
)
from impasto.studio.workers.protocol import (
    JSON_FRAME,
    PICTURE_FRAME,
    DropOrder,
    EstimateAnswer,
    EstimateQuery,
    JobAdvanced,
    JobDropped,
    JobEnded,
    LiveError,
    LiveReady,
    LiveSettings,
    MessageFrame,
    ProtocolError,
    QueryFailed,
    RunOrder,
    StopOrder,
    StylizeAnswer,
    StylizeQuery,
    WorkerActivity,
    WorkerReady,
    decode_live_event,
    decode_painting_event,
    decode_painting_order,
    encode_frame,
    encode_message,
    read_frame,
    receive_frame,
)

FILM = FilmRequest.model_validate({**REQUEST, "kind": "film", "settings": {"size": 96}})
RECIPE = StoredRecipe.model_validate({"method": "optimize", "steps": 9, "size": 64, "é写": None})
STEP = {"step": 3, "steps": 9, "scale": 64, "losses": {"total": 0.1}, "seconds": 1.5, "eta": None}


def received(data: bytes, max_bytes: int = 1000) -> MessageFrame | None:
    async def receive() -> MessageFrame | None:
        stream = asyncio.StreamReader()
        stream.feed_data(data)
        stream.feed_eof()
        return await receive_frame(stream, max_bytes)

    return asyncio.run(receive())


@pytest.mark.parametrize(
    "order",
    [
        RunOrder(job="a", folder="/x/é", request=picture_request(), previews=3),
        RunOrder(job="a", folder="/x", request=FILM),
        StopOrder(job="a"),
        DropOrder(job="a"),
        StylizeQuery(ticket=7, folder="/x", request=picture_request()),
        EstimateQuery(ticket=7, recipe=RECIPE, width=64, height=32),
    ],
)
def test_orders_arrive_as_they_were_sent(order):
    assert decode_painting_order(read_frame(io.BytesIO(encode_message(order)))) == order


@pytest.mark.parametrize(
    "event",
    [
        WorkerReady(device="cpu, float32", reason="it is there"),
        WorkerActivity(job=None),
        WorkerActivity(job=""),
        JobAdvanced(job="a", progress=StepProgress(**STEP, preview=1)),
        JobEnded(job="a", ended="failed", error="no"),
        JobEnded(
            job="a",
            ended="done",
            progress=FinalProgress(**STEP, result=PictureSize(width=1, height=2), device="cpu"),
        ),
        JobDropped(job="a"),
        StylizeAnswer(ticket=7, file="result.png"),
        EstimateAnswer(
            ticket=7, estimate=EstimateResponse(width=1, height=2, seconds=0.5, memory_mb=3)
        ),
        QueryFailed(ticket=7, error="no", cause="image"),
    ],
)
def test_events_arrive_as_they_were_sent(event):
    assert decode_painting_event(received(encode_message(event))) == event


@pytest.mark.parametrize(
    "event", [LiveReady(method="instant"), LiveError(error="no", picture=True)]
)
def test_live_events_arrive_as_they_were_sent(event):
    assert decode_live_event(received(encode_message(event))) == event


def test_live_settings_are_those_that_were_sent():
    sent = LiveSettings.model_validate({"style": None, "rate": 3, "another": 1})
    frame = read_frame(io.BytesIO(encode_message(sent)))
    assert json.loads(frame.payload) == {"style": None, "rate": 3}
    assert LiveSettings.model_validate_json(frame.payload).given() == {"style": None, "rate": 3}


def test_frames_follow_each_other_to_the_end():
    stream = io.BytesIO(encode_frame(PICTURE_FRAME, b"\xff\xd8") + encode_frame(JSON_FRAME, b""))
    assert read_frame(stream) == (b"P", b"\xff\xd8")
    assert read_frame(stream) == (b"J", b"")
    assert read_frame(stream) is None


@pytest.mark.parametrize("length", [0, 3, 5, 7])
def test_a_frame_that_is_cut_short_is_the_end(length):
    data = encode_frame(PICTURE_FRAME, b"abc")[:length]
    assert read_frame(io.BytesIO(data)) is None
    assert received(data) is None


def test_what_is_no_frame():
    for data in (b"xxxxxxxx", b"\0\0\0\1Xy"):
        with pytest.raises(ProtocolError, match="no frame of the kind"):
            received(data)
        with pytest.raises(ProtocolError):
            read_frame(io.BytesIO(data))
    data = encode_frame(PICTURE_FRAME, bytes(11))
    assert received(data, 11).payload == bytes(11)
    with pytest.raises(ProtocolError, match="11 bytes; the limit is 10"):
        received(data, 10)


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"type": "other"}', b'{"type": "stop"}'])
def test_what_is_no_message(payload):
    with pytest.raises(ValidationError):
        decode_painting_order(MessageFrame(JSON_FRAME, payload))


def test_a_request_of_an_early_version_is_for_a_picture():
    assert JOB_REQUEST.validate_python(REQUEST).kind == "picture"
    assert JOB_REQUEST.validate_json(FILM.model_dump_json()) == FILM
    with pytest.raises(ValidationError):
        JOB_REQUEST.validate_python({**REQUEST, "kind": "song"})


def test_the_end_that_an_early_version_wrote():
    progress = {**STEP, "result": {"width": 1, "height": 2}, "device": "cpu"}
    end = JobEnded.model_validate({"job": "a", "ended": "done", "progress": progress})
    assert (end.ended, end.progress.preview, end.progress.notes) == ("done", None, [])
