"""The method ``instant``: one pass of a feed-forward network (Ghiasi et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impasto.methods.feed_forward import FeedForward
from impasto.methods.instant.settings import InstantSettings
from impasto.settings.methods import Accepts

if TYPE_CHECKING:
    from impasto.methods.feed_forward.brushes import Brush
    from impasto.runs.job import Job


class Instant(FeedForward):
    """A network that knows many styles, applied once at each size, from coarse to fine."""

    name = "instant"
    summary = "one pass of a network that knows many styles: a picture at once"
    settings = InstantSettings
    accepts = Accepts(built_in_styles=True)
    unit = "percent"
    typical_seconds = 1.0

    def brushes(self, job: Job) -> list[Brush]:
        from impasto.methods.instant.brushes import make_brushes

        return make_brushes(job)

    def depends_on_photo(self, job: Job) -> bool:
        return job.recipe.strength != 1 and not job.styles[0].built_in


INSTANT = Instant()
