"""The method ``learned``: one pass of a network trained for one style (Johnson et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impasto.methods.feed_forward import FeedForward
from impasto.methods.learned.settings import LearnedSettings
from impasto.settings.methods import Accepts

if TYPE_CHECKING:
    from impasto.methods.feed_forward.brushes import Brush
    from impasto.runs.job import Job


class Learned(FeedForward):
    """A network that was trained for one style, applied once at each size, from coarse to fine."""

    name = "learned"
    summary = "one pass of a network trained for one style: impasto learn"
    settings = LearnedSettings
    accepts = Accepts(style_images=False, learned_styles=True)
    unit = "percent"
    typical_seconds = 1.0

    def brushes(self, job: Job) -> list[Brush]:
        from impasto.methods.learned.brushes import make_brushes

        return make_brushes(job)


LEARNED = Learned()
