"""The page and the HTTP interface as one server, on this machine only unless asked otherwise."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from histoxplain._checks import check, check_between
from histoxplain._optional import require
from histoxplain.app.desk import Desk
from histoxplain.app.guards import LOCAL, Guards
from histoxplain.app.pictures import Limits
from histoxplain.app.shelf import Shelf

if TYPE_CHECKING:
    from fastapi import FastAPI

T = TypeVar("T")
TRIED = 20
"""Ports, one after another."""


def web_app(
    shelf: Shelf, desk: Desk | None = None, limits: Limits | None = None, hosts: Sequence[str] | None = LOCAL
) -> FastAPI:
    """The whole server as an ASGI application, for `uvicorn` or a test.

    Args:
        shelf: the bundles.
        desk: lets one question be worked on at a time.
        limits: how large files may be.
        hosts: names by which the server may be addressed; None takes any.

    Raises:
        ImportError: if gradio is not installed; the message says how to install it.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    gr = require("gradio", extra="app")
    from histoxplain.app.interface import make_interface
    from histoxplain.app.look import CSS, theme
    from histoxplain.app.page import make_page

    desk, limits = desk or Desk(), limits or Limits()
    app = make_interface(shelf, desk, limits)
    app.add_middleware(Guards, most=limits.bytes, hosts=None if hosts is None else tuple(hosts))
    look = {"theme": theme(), "css": CSS}
    look |= {"max_file_size": limits.bytes, "ssr_mode": False, "footer_links": []}
    return _within_a_loop(lambda: gr.mount_gradio_app(app, make_page(shelf, desk, limits), "/", **look))


def _within_a_loop(make: Callable[[], T]) -> T:
    """Call `make` while an event loop runs: without one, gradio opens a loop for each of its locks and closes none."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:

        async def made() -> T:
            return make()

        return asyncio.run(made())
    return make()


def serve(
    bundles: Sequence[str | Path] = (),
    host: str = "127.0.0.1",
    port: int = 7860,
    browser: bool = False,
    limits: Limits | None = None,
    desk: Desk | None = None,
) -> None:
    """Serve until interrupted. What visitors upload lies in a folder of its own, which goes with the server.

    Args:
        bundles: names or folders; by default all that lie under `checkpoints/`.
        host: the address to listen at; the default is reached from this machine only.
        port: or the next free one.
        browser: open a window.
        limits: how large files may be.
        desk: lets one question be worked on at a time.

    Raises:
        InputError: if there is no such bundle, or no free port.
        ImportError: if gradio is not installed; the message says how to install it.
    """
    require("gradio", extra="app")
    shelf, taken = Shelf(bundles), free_port(host, port)
    with TemporaryDirectory(prefix="histoxplain-") as folder, taken:
        os.environ["GRADIO_TEMP_DIR"] = folder
        here = host in LOCAL
        address = f"http://{'localhost' if here else host}:{taken.getsockname()[1]}"
        print(f"The page:       {address}\nThe interface:  {address}/openapi.json\nCtrl-C ends it.", flush=True)
        if not here:
            print("Everybody who reaches this address may use it; there is no login.", flush=True)
        if browser:
            threading.Timer(2.0, webbrowser.open, [address]).start()
        run(web_app(shelf, desk, limits, LOCAL if here else None), taken)


def free_port(host: str, port: int) -> socket.socket:
    """A socket that listens at the port or at one of the next; 0 takes any.

    Raises:
        InputError: if none is free.
    """
    check_between("port", port, 0, 65535)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in range(port, min(port + TRIED, 65536)):
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, number))
            listening.listen()
        except OSError:
            listening.close()
            continue
        return listening
    check(False, "port", f"be free at {host}", f"{port}, which is not, nor are the {TRIED - 1} after it")
    raise AssertionError


def run(app: Any, listening: socket.socket) -> None:
    """Serve an ASGI application until interrupted or terminated; what stands around it is tidied up either way."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again once it has stopped
    uvicorn = require("uvicorn", extra="app")
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3))
    server.run(sockets=[listening])
