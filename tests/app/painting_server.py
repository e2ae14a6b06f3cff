"""A server with stand-in networks, in a process of its own; prints its address and serves until it is ended."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from histoxplain.app import Desk, Limits
from histoxplain.app.serving import free_port, run, web_app

spec = spec_from_file_location("app_stand_ins", Path(__file__).with_name("conftest.py"))
stand_ins = module_from_spec(spec)
spec.loader.exec_module(stand_ins)

if __name__ == "__main__":
    paint, other = stand_ins.make_bundles()
    with free_port("127.0.0.1", int(sys.argv[1])) as listening:
        app = web_app(stand_ins.OneShelf(paint, other), Desk(), Limits(megabytes=1))
        print(f"http://localhost:{listening.getsockname()[1]}", flush=True)
        run(app, listening)
