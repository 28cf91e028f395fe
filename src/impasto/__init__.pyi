from .base.errors import ImpastoError
from .images.limits import Limits
from .images.picture import Picture
from .images.read import read
from .learning.api import learn
from .library.api import estimate, iterate, prepare, resume, run, stylize
from .library.series import variations
from .library.stylizer import Stylizer
from .library.synthesis import reconstruct, texture
from .losses.style import register_loss
from .measures.evaluation import costs, evaluate
from .measures.inspection import look
from .methods.base import Method, register_method
from .runs import checkpoint
from .runs.history import History
from .runs.progress import Progress
from .runs.result import Result
from .runs.timelapse import Timelapse
from .settings.recipe import Recipe
from .video.film import Film
from .video.frames import Cut
from .video.progress import FilmProgress
from .views import notebook, plots

__version__: str

__all__ = [
    "Cut",
    "Film",
    "FilmProgress",
    "History",
    "ImpastoError",
    "Limits",
    "Method",
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
    "learn",
    "look",
    "notebook",
    "plots",
    "prepare",
    "read",
    "reconstruct",
    "register_loss",
    "register_method",
    "resume",
    "run",
    "stylize",
    "texture",
    "variations",
]
