"""Errors that the REST API answers with a status of their own."""

from __future__ import annotations

BRIEF_RETRY = {"Retry-After": "10"}
"""Header of an error that passes by itself within seconds."""


class ProblemError(Exception):
    """An error with its HTTP status, its sentence and the headers of the answer."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers
