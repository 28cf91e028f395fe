"""A window on this machine's screen, where OpenCV has one.

It is to be opened before PyAV is imported: both bring libraries of X11 along, and with PyAV's
loaded first OpenCV waits for ever.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from impasto.base.errors import OutputError

WINDOW = "impasto"
ESCAPE, QUIT = 27, ord("q")


class Window:
    """A window, where OpenCV has one. Escape or q closes it."""

    def __init__(self) -> None:
        self.news: deque[str] = deque()
        try:
            cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise OutputError(
                "OpenCV has no windows here (opencv-python has, opencv-python-headless doesn't);"
                " choose a file, an address, or the studio's Live tab"
            ) from error

    def show(self, pixels: np.ndarray, at: float) -> bool:
        cv2.imshow(WINDOW, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        return self.goes_on()

    def goes_on(self) -> bool:
        return cv2.waitKey(1) & 0xFF not in (ESCAPE, QUIT)

    def close(self) -> None:
        cv2.destroyAllWindows()
