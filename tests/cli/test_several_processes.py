"""Two processes write what one does."""

import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from histoxplain import _ranks, cli
from histoxplain.cli import main
from histoxplain.ops import reference_only

SCRIPT = Path(__file__).with_name("together.py")
_spec = spec_from_file_location("cli_together", SCRIPT)
together = module_from_spec(_spec)
_spec.loader.exec_module(together)


@pytest.fixture
def folder(tmp_path, png):
    """Four images in two classes; in another folder, a file that is none beside them."""
    for place in ("images", "scans"):
        for number, red in enumerate((30, 90, 180, 240)):
            png(f"{place}/{'blue' if red < 128 else 'red'}/tile{number}", red)
    (tmp_path / "scans/red/tile1b.png").write_text("not an image")
    return tmp_path


def timeless(text):
    """Figures without how long they took."""

    def without(part):
        if isinstance(part, dict):
            return {name: without(value) for name, value in part.items() if not name.startswith("seconds")}
        return [without(value) for value in part] if isinstance(part, list) else part

    return without(json.loads(text))


def files(out):
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def test_two_processes_write_what_one_does(folder, paint, capsys):
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "HISTOXPLAIN_NATIVE": "0"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", SCRIPT, folder]
    done = subprocess.run(launch, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the two, and without native kernels: sums are added up in the same order
    with reference_only():
        together.use_all(paint, folder, folder / "one")
    torch.set_num_threads(threads)
    one, two = folder / "one", folder / "two"
    said = [text.splitlines()[:2] for text in (done.stdout.replace(str(two), str(one)), capsys.readouterr().out)]
    assert said[0] == said[1]
    assert files(one) == files(two)
    for name in files(one):
        a, b = (one / name).read_bytes(), (two / name).read_bytes()
        if name.endswith(".json"):
            assert timeless(a) == timeless(b), name
        elif not name.endswith(".html"):
            assert a == b, name


def test_what_cannot_be_shared_is_refused(monkeypatch, refused):
    for name, value in {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "3", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    message = "`nproc-per-node` must be 1 for `prepare`, which several processes cannot share, got 3."
    assert message in refused("prepare", "images", "data.lmdb")


def test_the_first_process_speaks_first(monkeypatch, capsys):
    waited = []
    for name, value in {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "3", "RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cli, "let_the_first_speak", lambda: waited.append(capsys.readouterr().err))
    assert main(["prepare", "images", "data.lmdb"]) == 2
    assert waited == [""]
    assert capsys.readouterr().err.startswith("histoxplain: process 2: error: ")


def test_a_lost_process_is_one_line(monkeypatch, capsys):
    def lose(verb, arguments):
        with _ranks.answering():
            raise RuntimeError("Connection closed by peer\nand so on")

    monkeypatch.setattr(cli, "run", lose)
    assert main(["predict"]) == 1
    message = "another process of this run ended or does not answer (Connection closed by peer)"
    assert capsys.readouterr().err == f"histoxplain: error: {message}\n"
