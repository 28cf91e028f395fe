"""Other packages' log messages."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_logger(name: str) -> Iterator[None]:
    """Keep a logger from writing to standard error by itself during the block.

    A logger without a handler writes warnings there. Handlers that the program has configured
    still get its messages, because the block only adds a handler that does nothing.
    """
    logger, handler = logging.getLogger(name), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
