# Modules that are imported when they are used, for the names of the package impasto.
from . import checkpoint as checkpoint
