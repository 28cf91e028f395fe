"""What every request passes first: who is asking, from where, and how much.

Plain ASGI, so that a body is counted as it arrives, before anything keeps it.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from impasto.studio import problems
from impasto.studio.settings import Settings

COOKIE = "impasto-token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
PARTS = 8
"""Files of one form: photo, paintings, mask; with room for the text."""
BYTES_PER_MB = 1_000_000
NEEDS_TOKEN = "this studio needs its token: open the address that was printed"
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; font-src 'self';"
    " manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class _RefusedError(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Guard:
    """Checks the Host header, the origin of what changes something, the token and the body's size
    and pace; adds the security headers to every answer.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.most_bytes = PARTS * settings.limits.max_megabytes * BYTES_PER_MB

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        try:
            self._check(scope, headers)
            if (token := self._token_in_address(scope)) is not None:
                answer = RedirectResponse(scope["path"], 303)
                answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
                await answer(scope, receive, guarded_send)
                return
            await self.app(scope, self._counted(receive), guarded_send)
        except _RefusedError as refused:
            if not started:
                refusal = problems.response(
                    refused.status, refused.sentence, {"Connection": "close"}
                )
                await refusal(scope, receive, guarded_send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        try:
            host = urlsplit(f"//{headers.get('host', '')}")
            known = host.hostname is not None and self.settings.knows_host(host.hostname)
        except ValueError:
            known = False
        if not known:
            raise _RefusedError(400, "this studio isn't known by that name")
        if scope["method"] not in SAFE_METHODS and not _same_origin(headers):
            raise _RefusedError(403, "that came from another site")
        token = self.settings.token
        if token is not None and not (
            self._authorised(headers, token) or self._token_in_address(scope)
        ):
            raise _RefusedError(401, NEEDS_TOKEN)
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self.most_bytes:
            raise _RefusedError(413, self._too_large)

    @property
    def _too_large(self) -> str:
        return f"that is more than {self.most_bytes / BYTES_PER_MB:g} MB, the limit for a request"

    def _authorised(self, headers: Headers, token: str) -> bool:
        given = headers.get("authorization", "").removeprefix("Bearer ").strip()
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        return _equal(given, token) or (cookie is not None and _equal(cookie.value, token))

    def _token_in_address(self, scope: Scope) -> str | None:
        """The right token, given as ``/?token=…``: what the printed address has."""
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        right = self.settings.token
        page = scope["path"] == "/" and scope["method"] == "GET"
        return given if page and right is not None and _equal(given, right) else None

    def _counted(self, receive: Receive) -> Receive:
        """``receive``, which refuses too much and too slow."""
        taken, complete = 0, False
        deadline = time.monotonic() + self.settings.upload_seconds

        async def counted() -> Message:
            nonlocal taken, complete
            if complete:  # what comes now is the client leaving, whenever it likes
                return await receive()
            patience = min(self.settings.idle_seconds, deadline - time.monotonic())
            try:
                message = await asyncio.wait_for(receive(), max(0.0, patience))
            except TimeoutError:
                raise _RefusedError(408, "the upload is too slow") from None
            taken += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if taken > self.most_bytes:
                raise _RefusedError(413, self._too_large)
            return message

        return counted


def _equal(given: str, token: str) -> bool:
    """In constant time."""
    return hmac.compare_digest(given.encode(), token.encode())


def _same_origin(headers: Headers) -> bool:
    """Browsers say where a request comes from; other programs say nothing."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")
