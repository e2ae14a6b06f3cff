import json

import pytest
import torch

from histoxplain import InputError
from histoxplain.train.loop import JsonLog, load_snapshot, open_run, progress, save_snapshot


def test_snapshot_round_trip_and_damage(tmp_path):
    path = tmp_path / "state.pt"
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))])
    save_snapshot(path, {"optimiser": optimiser.state_dict(), "random": torch.get_rng_state(), "best": None})
    assert load_snapshot(path)["optimiser"]["param_groups"][0]["lr"] == 1e-3
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]
    for keep in (0, 50, 500):
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(InputError, match="whole training snapshot") as error:
            load_snapshot(path)
        assert "\n" not in str(error.value)


def test_snapshot_never_unpickles_code(tmp_path):
    torch.save({"evil": print}, tmp_path / "state.pt")
    with pytest.raises(InputError):
        load_snapshot(tmp_path / "state.pt")


def test_run_folder_starts_refuses_and_resumes(tmp_path):
    out = tmp_path / "run"
    assert open_run(out, {"rate": 0.1, "epochs": 2}) is None
    assert json.loads((out / "config.json").read_text()) == {"rate": 0.1, "epochs": 2}
    save_snapshot(out / "state.pt", {"step": 5})
    with pytest.raises(InputError, match=r"--resume"):
        open_run(out, {"rate": 0.1, "epochs": 2})
    with pytest.raises(InputError, match=r"`rate` must stay 0\.1"):
        open_run(out, {"rate": 0.2, "epochs": 2}, resume=True)
    assert open_run(out, {"rate": 0.1, "epochs": 9}, resume=True, changeable=("epochs",)) == {"step": 5}
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="must be a folder"):
        open_run(tmp_path / "file", {})


def test_log_is_cut_on_resume(tmp_path):
    log = JsonLog(tmp_path / "log.jsonl")
    for step in range(4):
        log.write(step=step, loss=1 / 3)
    log = JsonLog(tmp_path / "log.jsonl", keep=2)
    log.write(step=2, loss=0.0)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2]
    assert lines[0]["loss"] == 0.333333
    assert log.lines == 3


def test_progress_counts_from_where_it_stopped(capsys):
    with progress(10, done=4, quiet=True) as bar:
        bar.update(3)
    assert capsys.readouterr().err == ""
