"""The checks that every request passes first: host, origin, token, and the size of the body.

This is plain ASGI, so that a body is counted as it arrives, before anything keeps it. Starlette's
own limit of a body isn't used: it counts bytes, but it doesn't cut off an upload that is too slow.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from impasto.studio.server import problems
from impasto.studio.server.settings import Settings

COOKIE = "impasto-token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
FORM_FILES = 8
"""The size of a form, in files of the largest size: photo, paintings, mask and room for text."""
BYTES_PER_MB = 1_000_000
MAX_TEXT_MB = 1
"""The size of a body that isn't a form with files. It is held in memory."""
NEEDS_TOKEN = "this studio needs its token: open the address that was printed"
TOKEN_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>impasto studio</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><h1>impasto studio</h1>
<form action="/"><label>This studio needs its token, the end of the address that was printed:
<input name="token" type="password" autocomplete="off" required></label> <button>Open</button>
</form></body></html>
"""
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; font-src 'self';"
    " manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class _RefusedError(Exception):
    """A request that is refused, with the status and the sentence of the answer."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Guard:
    """Middleware that checks requests, and adds the security headers to every answer.

    It checks the Host header, the origin of requests that change something, the token, and the size
    and the pace of the body.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.max_form_mb = FORM_FILES * settings.limits.max_megabytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._guard_socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = refusing = False
        headers = Headers(scope=scope)
        body = _Body(receive, self.settings, self._limit(headers))

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                if body.refused is not None and not refusing:  # the answer is based on half a body
                    raise body.refused
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(scope, headers)
            if (token := self._token_in_address(scope)) is not None:
                answer = RedirectResponse(scope["path"], 303)
                secure = scope["scheme"] == "https"
                answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure)
                await answer(scope, receive, guarded_send)
                return
            await self.app(scope, body.receive, guarded_send)
        except _RefusedError as refused:
            if not started:
                refusing = True
                await _answer_to(refused, scope, headers)(scope, receive, guarded_send)

    async def _guard_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a WebSocket of another site's page: it would carry the cookie with the token."""
        try:
            self._check(scope, Headers(scope=scope))
        except _RefusedError as refused:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refused.sentence})
            return
        await self.app(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        self._check_host(headers)
        if scope.get("method") not in SAFE_METHODS and not _same_origin(scope, headers):
            raise _RefusedError(403, "that came from another site")
        token = self.settings.token
        if token is not None and not (
            self._authorised(headers, token) or self._token_in_address(scope)
        ):
            raise _RefusedError(401, NEEDS_TOKEN)
        length, limit = headers.get("content-length", "0"), self._limit(headers)
        if length.isdigit() and float(length) > limit * BYTES_PER_MB:
            raise _too_large(limit)

    def _check_host(self, headers: Headers) -> None:
        try:
            # The name may be in UTF-8; starlette decodes headers as Latin-1.
            name = urlsplit(f"//{_as_utf_8(headers.get('host', ''))}").hostname or ""
            known = self.settings.knows_host(name)
        except ValueError:
            raise _RefusedError(400, "the request's Host isn't the name of a host") from None
        if not known:
            raise _RefusedError(
                400, f"this studio isn't known by that name; start it with --name {name:.80}"
            )

    def _limit(self, headers: Headers) -> float:
        """Return how many megabytes the body of a request may have."""
        is_form = headers.get("content-type", "").lower().startswith("multipart/form-data")
        return self.max_form_mb if is_form else MAX_TEXT_MB

    def _authorised(self, headers: Headers, token: str) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        has_bearer = scheme.lower() == "bearer" and _equal(given.strip(), token)
        return has_bearer or (cookie is not None and _equal(cookie.value, token))

    def _token_in_address(self, scope: Scope) -> str | None:
        """Return the token in the page's address, ``/?token=…``, or None if it isn't right."""
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        right = self.settings.token
        page = scope["path"] == "/" and scope.get("method") == "GET"
        return given if page and right is not None and _equal(given, right) else None


class _Body:
    """The body of a request. It refuses one that is too large or too slow.

    ``refused`` keeps the error, because FastAPI turns errors of ``receive`` into errors of its own.
    """

    def __init__(self, receive: Receive, settings: Settings, max_mb: float) -> None:
        self._receive, self._settings, self._max_mb = receive, settings, max_mb
        self._deadline = time.monotonic() + settings.upload_seconds
        self._received_bytes, self._is_complete = 0, False
        self.refused: _RefusedError | None = None

    async def receive(self) -> Message:
        """Return the next message of the client. Raise _RefusedError if the body is refused."""
        if self._is_complete:  # the only message left is that the client has gone
            return await self._receive()
        timeout_s = min(self._settings.idle_seconds, self._deadline - time.monotonic())
        try:
            async with asyncio.timeout(max(0.0, timeout_s)):
                message = await self._receive()
        except TimeoutError:
            self.refused = _RefusedError(408, "the upload is too slow")
            raise self.refused from None
        self._received_bytes += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        if self._received_bytes > self._max_mb * BYTES_PER_MB:
            self.refused = _too_large(self._max_mb)
            raise self.refused
        return message


def _answer_to(refused: _RefusedError, scope: Scope, headers: Headers) -> Response:
    """Return a problem, or a page that asks for the token where a browser opens the page."""
    wants_page = scope["path"] == "/" and "text/html" in headers.get("accept", "")
    if refused.status == 401 and wants_page:
        return HTMLResponse(TOKEN_PAGE, 401)
    return problems.response(refused.status, refused.sentence, {"Connection": "close"})


def _too_large(limit: float) -> _RefusedError:
    return _RefusedError(413, f"that is more than {limit:g} MB, the limit for a request")


def _equal(given: str, token: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode(), token.encode())


def _same_origin(scope: Scope, headers: Headers) -> bool:
    """Return whether a request comes from the studio's own page, or not from a browser."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        given = urlsplit(origin)
        scheme = _browser_scheme(scope, headers)
    except ValueError:
        return False
    return given.netloc == headers.get("host") and scheme in (None, given.scheme)


def _browser_scheme(scope: Scope, headers: Headers) -> str | None:
    """Return the scheme that the browser uses, or None where a proxy may have changed it.

    A request to the very port that the studio listens on has come without a proxy.
    """
    forwarded = headers.get("x-forwarded-proto")
    if forwarded is not None:
        return forwarded.partition(",")[0].strip().lower()
    scheme = str(scope["scheme"]).replace("ws", "http")
    server = scope.get("server")
    is_direct = server is not None and urlsplit(f"//{headers.get('host')}").port == server[1]
    return scheme if scheme == "https" or is_direct else None


def _as_utf_8(header: str) -> str:
    """Return the UTF-8 text of a header, decoded as Latin-1. Raise ValueError if it is none."""
    return header.encode("latin-1").decode()
