"""What every request passes first: its host, its size; and what every answer forbids the browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

ROUTES = ("/predict", "/explain")
ROOM = 64 * 1024
"""Bytes of a request besides the file."""
HEADERS = {
    "content-security-policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Nothing is fetched from anywhere else, nobody learns from where a visitor came, and files are what they say."""
ELSEWHERE = ("cross-site", "same-site")
"""What browsers say of a request that a page of another server makes; another port is the same site."""
LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")


class Guards:
    """ASGI middleware.

    Args:
        app: what it guards.
        most: bytes of a file.
        hosts: names by which the server may be addressed; None takes any. A page elsewhere that makes its own name
            point here (DNS rebinding) is then refused, and so are the forms that it sends here.
    """

    def __init__(self, app: Any, most: int, hosts: tuple[str, ...] | None = LOCAL) -> None:
        self.app, self.most, self.hosts = app, most, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self.refusal(scope["path"], scope["method"], headers)
        if refused is not None:
            await _refuse(send, *refused)
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        await self.app(scope, receive, guarded)

    def refusal(self, path: str, method: str, headers: dict[str, str]) -> tuple[int, str] | None:
        """Status and reason, where a request is refused.

        Example:
            >>> guards = Guards(None, most=1000)
            >>> guards.refusal("/", "GET", {"host": "elsewhere.org:7860"})
            (421, 'This server is not called elsewhere.org.')
            >>> guards.refusal("/predict", "POST", {"host": "localhost", "content-length": "999999"})
            (413, 'The file is too large.')
            >>> guards.refusal("/predict", "POST", {"host": "localhost:7860", "content-length": "999"})
            >>> guards.refusal("/predict", "POST", {"host": "localhost:7860", "sec-fetch-site": "cross-site"})
            (403, 'Pages of other servers may not ask this one.')
        """
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if self.hosts is not None and name not in self.hosts:
            return 421, f"This server is not called {name}."
        if method == "POST" and headers.get("sec-fetch-site") in ELSEWHERE:
            return 403, "Pages of other servers may not ask this one."
        if method != "POST" or path not in ROUTES:
            return None
        size = headers.get("content-length", "")
        if not size.isdigit():
            return 411, "Say how large the file is (Content-Length)."
        return (413, "The file is too large.") if int(size) > self.most + ROOM else None


async def _refuse(send: Send, status: int, words: str) -> None:
    body = f'{{"detail": "{"".join(c for c in words if c.isprintable() and c not in chr(34) + chr(92))}"}}'.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
