# Modules that are imported when they are used, for the names of the package impasto.
from . import notebook as notebook
from . import plots as plots
