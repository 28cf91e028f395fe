from .base.errors import ImpastoError
from .images.limits import Limits
from .images.picture import Picture
from .images.read import read
from .library import checkpoint
from .library.api import estimate, iterate, prepare, resume, run, stylize
from .library.series import variations
from .library.stylizer import Stylizer
from .library.synthesis import reconstruct, texture
from .measures.evaluation import costs, evaluate
from .measures.inspection import look
from .runs.history import History
from .runs.result import Progress, Result
from .runs.timelapse import Timelapse
from .settings.recipe import Recipe
from .video.film import Film, FilmProgress
from .video.frames import Cut
from .views import notebook, plots

__version__: str

__all__ = [
    "Cut",
    "Film",
    "FilmProgress",
    "History",
    "ImpastoError",
    "Limits",
    "Picture",
    "Progress",
    "Recipe",
    "Result",
    "Stylizer",
    "Timelapse",
    "__version__",
    "checkpoint",
    "costs",
    "estimate",
    "evaluate",
    "iterate",
    "look",
    "notebook",
    "plots",
    "prepare",
    "read",
    "reconstruct",
    "resume",
    "run",
    "stylize",
    "texture",
    "variations",
]
