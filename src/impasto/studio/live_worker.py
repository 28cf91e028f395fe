"""The process that paints one live session: pictures in by standard input, pictures out.

A message is its length (4 bytes, big-endian), a letter and its bytes: ``J`` JSON, ``P`` a picture
(JPEG, PNG or WebP). What comes in as JSON are settings, as in docs/rest.md; what goes out,
``ready`` or ``error``, a sentence. Each picture is answered by one, in order, or an error.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any, BinaryIO

import cv2
import numpy as np

from impasto.errors import ImageError, ImpastoError, RecipeError
from impasto.networks import styles
from impasto.studio import gallery
from impasto.video.live.stylist import ORDERS, Stylist, number, setting

MOST_PIXELS = 4_000_000
LEAST_SIDE = 32
QUALITY = 88
RATES = 1.0, 60.0


class Session:
    """What one person has chosen, and the painter of it."""

    def __init__(self) -> None:
        self.stylist: Stylist | None = None

    def settle(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Take settings. Raises ImageError, RecipeError."""
        settings: dict[str, Any] = {}
        for word in ORDERS:
            if word in wanted:
                settings |= setting(word, wanted[word])
        rate = number("rate", wanted["rate"], *RATES) if "rate" in wanted else None
        if "style" in wanted or "painting" in wanted:
            settings["style"] = _style(wanted)
        if self.stylist is None:
            if "style" not in settings:
                raise RecipeError("choose a style first")
            self.stylist = Stylist(settings.pop("style"), size=1280, rate=rate or 15.0, **settings)
        else:
            if settings:
                self.stylist.change(**settings)
            self.stylist.rate = rate or self.stylist.rate
        return {"ready": True}

    def painted(self, data: bytes) -> bytes:
        """An encoded picture, painted and encoded. Raises ImageError, RecipeError."""
        if self.stylist is None:
            raise RecipeError("choose a style first")
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            image = None
        if image is None:
            raise ImageError("that isn't a picture")
        if image.shape[0] * image.shape[1] > MOST_PIXELS or min(image.shape[:2]) < LEAST_SIDE:
            raise ImageError(f"a live picture has {LEAST_SIDE} px a side and up to 4 megapixels")
        shown = self.stylist.painted(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        bgr = cv2.cvtColor(shown, cv2.COLOR_RGB2BGR)
        _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        return encoded.tobytes()


def _style(wanted: dict[str, Any]) -> Any:
    """A built-in style or painting by name, or a painting in base64; never a file's name."""
    if "painting" in wanted:
        try:
            return base64.b64decode(str(wanted["painting"]), validate=True)
        except ValueError:
            raise ImageError("the painting should be a picture in base64") from None
    name = str(wanted["style"])
    if name in styles.NAMES:
        return name
    if name in gallery.paintings():
        return gallery.paintings()[name]
    raise RecipeError(f"there is no style {name!r:.40}")


def read(stream: BinaryIO) -> tuple[str, bytes] | None:
    """The next message; None at the end."""
    head = stream.read(5)
    if len(head) < 5:
        return None
    return chr(head[4]), stream.read(int.from_bytes(head[:4], "big"))


def write(stream: BinaryIO, kind: str, data: bytes) -> None:
    """Send a message."""
    stream.write(len(data).to_bytes(4, "big") + kind.encode() + data)
    stream.flush()


def main() -> None:
    """Serve a session until its input ends."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what prints is no message
    session = Session()
    while (message := read(sys.stdin.buffer)) is not None:
        kind, data = message
        try:
            if kind == "P":
                write(output, "P", session.painted(data))
                continue
            answer = session.settle(json.loads(data))
        except (ImpastoError, ValueError) as error:
            answer = {"error": " ".join(str(error).split()), "picture": kind == "P"}
        write(output, "J", json.dumps(answer).encode())


if __name__ == "__main__":
    main()
