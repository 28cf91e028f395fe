"""A window on this machine's screen, if the installed OpenCV has windows.

It must be opened before PyAV is imported: both packages contain X11 libraries, and if PyAV's are
loaded first, OpenCV hangs.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from impasto.base.errors import OutputError

WINDOW = "impasto"
ESCAPE_KEY, QUIT_KEY = 27, ord("q")


class Window:
    """A sink that shows pictures in a window. Escape or q closes it.

    Raises:
        OutputError: The installed OpenCV has no windows.
    """

    def __init__(self) -> None:
        self.messages: deque[str] = deque()
        try:
            cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise OutputError(
                "OpenCV has no windows here (opencv-python has, opencv-python-headless doesn't);"
                " choose a file, an address, or the studio's Live tab"
            ) from error

    def show(self, pixels: np.ndarray, timestamp: float) -> bool:
        cv2.imshow(WINDOW, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        return self.should_continue()

    def should_continue(self) -> bool:
        return cv2.waitKey(1) & 0xFF not in (ESCAPE_KEY, QUIT_KEY)

    def close(self) -> None:
        cv2.destroyAllWindows()
