import errno
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

import histoxplain
from histoxplain import InputError, cli


def test_help_and_version(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in cli.VERBS)
    assert cli.main(["--version"]) == 0
    assert histoxplain.__version__ in capsys.readouterr().out
    assert cli.main([]) == 2


def test_unknown_verb_names_the_nearest(capsys):
    for typed, nearest in {
        "preprae": "'prepare'",
        "trian gan": "'train gan'",
        "train": "'classifier'",
        "xyz": "lab",
    }.items():
        assert cli.main(typed.split()) == 2
        error = capsys.readouterr().err
        assert nearest in error
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([*verb.split(), "--help"] for verb in ("prepare", "lab", "train gan"))]
)
def test_help_loads_no_torch(arguments):
    code = "import sys; from histoxplain.cli import main; c = main(sys.argv[1:]); sys.exit(c or 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_every_verb_has_a_command_with_help(verb, capsys):
    if find_spec(cli.VERBS[verb][0]) is None:
        pytest.skip("not written yet")
    assert cli.main([*verb.split(), "--help"]) == 0
    assert f"histoxplain {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("`a` must be b,\n got c."), 2, "histoxplain: error: `a` must be b, got c.\n"),
        (FileNotFoundError(2, "No such file or directory", "a.png"), 2, "No such file or directory: a.png"),
        (OSError(errno.ENOSPC, "No space left on device", "a"), 2, "No space left on device: a"),
        (ImportError("`x` is needed here; install it with `pip`."), 2, "install it with"),
        (KeyboardInterrupt(), 130, "histoxplain: interrupted"),
    ],
)
def test_errors_are_one_line(monkeypatch, capsys, error, code, said):
    def run(*_):
        raise error

    monkeypatch.setattr(cli, "run", run)
    assert cli.main(["prepare"]) == code
    text = capsys.readouterr().err
    assert said in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ImportError("no module"), ValueError("ours")])
def test_bugs_keep_their_traceback(monkeypatch, error):
    monkeypatch.setattr(cli, "run", lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(type(error)):
        cli.main(["prepare"])


def test_python_m(capsys):
    done = subprocess.run([sys.executable, "-m", "histoxplain", "nonsense"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "no verb" in done.stderr


def test_lab(tmp_path, monkeypatch, capsys):
    from histoxplain.cli import lab

    assert cli.main(["lab", "--folder", str(tmp_path / "none")]) == 2
    assert "pass --folder" in capsys.readouterr().err
    monkeypatch.setattr(lab, "find_spec", lambda name: None)
    assert cli.main(["lab", "--folder", str(tmp_path)]) == 2
    assert "histoxplain[notebook]" in capsys.readouterr().err
    monkeypatch.setattr(lab, "find_spec", lambda name: SimpleNamespace())
    started = []

    def start(command, env):
        started.append(command)
        assert Path(env["JUPYTER_PATH"].split(os.pathsep)[-1], "voila/templates/histoxplain/index.html.j2").exists()
        return SimpleNamespace(wait=lambda: 0)

    monkeypatch.setattr(lab.subprocess, "Popen", start)
    assert cli.main(["lab", "--folder", str(tmp_path), "--no-browser"]) == 0
    assert cli.main(["lab", "--folder", str(tmp_path), "--no-browser", "--pages"]) == 0
    assert [command[1:4] for command in started] == [
        ["-m", w, str(tmp_path.resolve())] for w in ("jupyterlab", "voila")
    ]
    assert "--template=histoxplain" in started[1]
