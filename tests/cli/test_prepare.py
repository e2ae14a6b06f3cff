import os
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
from PIL import Image

from histoxplain import cli
from histoxplain.data import open_source


@pytest.fixture
def folder(tmp_path):
    for name in ("benign", "malignant"):
        (tmp_path / "source" / name).mkdir(parents=True)
        for i in range(5):
            pixels = np.random.default_rng(i).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "source" / name / f"{name[0]}{i}.png")
    return tmp_path / "source"


def test_end_to_end(folder, tmp_path, capsys):
    table = tmp_path / "cases.csv"
    lines = [f"{c}/{c[0]}{i}.png,{c}-{i // 2}" for c in ("benign", "malignant") for i in range(5)]
    table.write_text("\n".join(["file,patient", *lines]))
    data = tmp_path / "out" / "a.lmdb"
    options = ["--resolution", "8", "--groups", str(table), "--group-column", "patient", "--fractions", "2", "1", "1"]
    assert cli.main(["prepare", str(folder), str(data), *options]) == 0
    captured = capsys.readouterr()
    assert "10 RGB images of 8x8 pixels in 6 groups" in captured.out
    assert "10/10" in captured.err
    assert set(open_source(data).groups) == {f"{c}-{i}" for c in ("benign", "malignant") for i in range(3)}
    assert cli.main(["prepare", str(folder), str(data), *options]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main(["prepare", str(folder), str(data), *options, "--overwrite", "--channels", "1"]) == 0
    assert open_source(data).channels == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{source}x", "{out}"], "did you mean"),
        (["{source}", "{out}", "--resolution", "100"], "64 and 128"),
        (["{source}", "{out}", "--groups", "{source}/no.csv", "--group-column", "a"], "groups"),
        (["{source}", "{out}", "--group-regex", "("], "regular expression"),
        (["{source}", "{out}", "--group-regex", "nowhere"], "no group is known"),
        (["{source}/benign/b0.png", "{out}"], "folder"),
    ],
)
def test_bad_input_is_one_line(folder, tmp_path, capsys, arguments, said):
    filled = [argument.format(source=folder, out=tmp_path / "a.lmdb") for argument in arguments]
    assert cli.main(["prepare", *filled]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["source"]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_leaves_nothing_behind(folder, tmp_path):
    for i in range(300):
        (folder / "benign" / f"copy{i}.png").write_bytes((folder / "benign" / "b0.png").read_bytes())
    command = [
        sys.executable,
        "-m",
        "histoxplain",
        "prepare",
        str(folder),
        str(tmp_path / "a.lmdb"),
        "--resolution",
        "1024",
    ]
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # which tests in the background do not
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heeding)
    for _ in range(1200):  # a busy machine takes long to import
        time.sleep(0.05)
        if any(file.suffix == ".part" for file in tmp_path.iterdir()):
            break
    child.send_signal(signal.SIGINT)
    _, error = child.communicate(timeout=100)
    assert child.returncode == 130, error
    assert error.rstrip().endswith("histoxplain: interrupted")
    assert [file.name for file in tmp_path.iterdir()] == ["source"]
