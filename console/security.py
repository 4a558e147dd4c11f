"""What stands between the console and the rest of the network."""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Sequence
from urllib.parse import SplitResult, urlsplit

from flask import Flask, Response, abort, request

MAX_REQUEST_BYTES = 256 * 1024
LIVE_PATH = "/livez"
_NAME = re.compile(r"[\w.@+-]{1,64}")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def protect(
    server: Flask, *, script_hashes: Sequence[str], hosts: Collection[str], password: str
) -> None:
    """Guard every request of `server` and put the security headers on every answer.

    A request must name one of `hosts` (against DNS rebinding), must not come from another site
    (against forged requests), and, when `password` is not empty, must carry it (HTTP Basic; the
    user's name is the reviewer's). `LIVE_PATH` answers anyone and tells nothing.
    """
    server.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    policy = _content_policy(script_hashes)

    @server.get(LIVE_PATH)
    def live() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @server.before_request
    def guard() -> None:
        if request.path == LIVE_PATH:
            return
        if _hostname(request.host) not in hosts:
            abort(421, "This host name is not one of the console's: see --allowed-host.")
        if request.method not in ("GET", "HEAD") and not _same_site():
            abort(403, "The request comes from another site.")
        if password and not _authorized(password):
            refusal = Response(
                "A name (letters, digits and . _ @ + -) and the console's password are needed.\n",
                401,
            )
            refusal.headers["WWW-Authenticate"] = 'Basic realm="Breakwater", charset="UTF-8"'
            abort(refusal)

    @server.after_request
    def head(response: Response) -> Response:
        response.headers.update(HEADERS)
        response.headers["Content-Security-Policy"] = policy
        if not request.path.startswith(("/_dash-component-suites/", "/assets/")):
            # Pages hold what users wrote: no copy stays in a cache.
            response.headers["Cache-Control"] = "no-store"
        return response


def _content_policy(script_hashes: Sequence[str]) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {' '.join(script_hashes)}",
            # Plotly and React set styles on elements.
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def is_reviewer_name(name: str) -> bool:
    """Whether somebody may sign in, and label, as `name`."""
    return _NAME.fullmatch(name) is not None


def reviewer_name(default: str) -> str:
    """Who sends the current request: the name they signed in with, else `default`."""
    given = request.authorization
    return given.username if given is not None and given.username else default


def _hostname(host: str) -> str:
    return _parsed(f"//{host}").hostname or ""


def _same_site() -> bool:
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    same = origin is None or _parsed(origin).netloc == request.host
    return same and site in ("same-origin", "none")


def _parsed(url: str) -> SplitResult:
    """The parts of `url`, all empty where it cannot be read."""
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "", "", "")


def _authorized(password: str) -> bool:
    given = request.authorization
    return (
        given is not None
        and given.type == "basic"
        and is_reviewer_name(given.username or "")
        and hmac.compare_digest((given.password or "").encode(), password.encode())
    )
