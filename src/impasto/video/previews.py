"""Some frames of a film, stylized, without making the film."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from impasto.video.film import Film


def previews(film: Film, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return frames evenly distributed over a film, each as it is and stylized by itself.

    Args:
        film: The film.
        count: How many frames.
    """
    clip, cut = film.clip, film.cut
    seconds = min(cut.end, clip.seconds or 0.0) - cut.start
    pairs = []
    for index in range(count):
        time = cut.start + max(0.0, seconds) * (index + 0.5) / count
        frame = next(film.source.frames(replace(cut, start=time)), None)
        if frame is None:
            break
        pixels = np.ascontiguousarray(frame.pixels[..., :3])
        painted = film.painter.paint(pixels, time - cut.start, index, None)
        pairs.append((pixels, film.compositor.composite(frame, painted)[..., :3]))
    return pairs
