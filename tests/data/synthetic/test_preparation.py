import pytest
import torch

from histoxplain import InputError, cli
from histoxplain.data import open_source
from histoxplain.data.synthetic import prepare_tissue, tissue


def test_prepared_tissue_is_tissue(tmp_path):
    report = prepare_tissue(tmp_path / "a.lmdb", 9, 32, share=0.4, extent=(0.1, 0.3), seed=3, progress=False)
    source = open_source(tmp_path / "a.lmdb")
    cases = tissue(9, 32, seed=3, share=0.4, extent=(0.1, 0.3))
    assert report.masks == 9
    for found, case in zip(source, cases, strict=True):
        assert (found.id, found.label) == (case.id, case.label)
        assert torch.equal(found.image, case.image)
        assert torch.equal(found.mask, case.mask)
    assert source.class_names == ("healthy", "diseased")
    assert set(source.splits) == {"train", "validation", "test"}


def test_verb(tmp_path, capsys):
    arguments = ["prepare", "synthetic", str(tmp_path / "a.lmdb"), "--count", "8", "--resolution", "16"]
    assert cli.main(arguments) == 0
    assert "8 of them with a mask" in capsys.readouterr().out
    assert cli.main(arguments) == 2
    assert "--overwrite" in capsys.readouterr().err
    again = [*arguments, "--overwrite", "--share", "1", "--extent", "0.05", "0.1", "--seed", "2"]
    assert cli.main(again) == 0
    source = open_source(tmp_path / "a.lmdb")
    assert source.class_names == ("diseased",)
    assert torch.equal(source[7].mask, tissue(8, 16, seed=2, share=1, extent=(0.05, 0.1))[7].mask)


@pytest.mark.parametrize("odd", [{"n": 0}, {"resolution": 20}, {"resolution": 4}, {"share": 2}, {"extent": (0.5, 0.1)}])
def test_odd_arguments(tmp_path, odd):
    with pytest.raises(InputError):
        prepare_tissue(tmp_path / "a.lmdb", **{"n": 3, "resolution": 16, "progress": False} | odd)
    assert not list(tmp_path.iterdir())
