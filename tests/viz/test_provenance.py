from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

import histoxplain
from histoxplain.viz import Provenance, command_line, provenance_of
from histoxplain.viz.provenance import provenance_html


@pytest.fixture
def bundle(tmp_path):
    """Two checkpoints of a few bytes."""
    (tmp_path / "g.safetensors").write_bytes(b"generator")
    (tmp_path / "c.safetensors").write_bytes(b"classifier")
    info = {"title": "Tiles <1>", "data": "Tiles, 8 px. And more.", "licence": "CC BY 4.0 & so on"}
    files = {"generator": "g.safetensors", "classifier": "c.safetensors"}
    return SimpleNamespace(name="tiles", path=tmp_path, info={**info, "files": files})


def test_says_where_a_report_comes_from(bundle):
    made = provenance_of(bundle, "histoxplain explain a.png", seed=3)
    assert made.files["g.safetensors"] == sha256(b"generator").hexdigest()
    html = provenance_html(made)
    for words in (
        "tiles (Tiles &lt;1&gt;)",
        "<dd>Tiles, 8 px.</dd>",
        "CC BY 4.0 &amp; so on",
        sha256(b"classifier").hexdigest(),
        "<dd>3</dd>",
        f"histoxplain {histoxplain.__version__}",
        "<code>histoxplain explain a.png</code>",
    ):
        assert words in html
    assert str(bundle.path) not in html


def test_a_classifier_alone_is_named_by_its_file(tmp_path):
    (tmp_path / "mine.safetensors").write_bytes(b"mine")
    made = provenance_of(object(), files=[tmp_path / "mine.safetensors"])
    assert made == Provenance(files={"mine.safetensors": sha256(b"mine").hexdigest()})
    html = provenance_html(made)
    assert "Licence" not in html
    assert "Seed" not in html


def test_commands_name_no_folder_of_the_machine(tmp_path):
    options = {"mask": tmp_path / "m.png", "option": (f"directions={tmp_path}/d.safetensors", "selection=determinant")}
    words = [tmp_path / "it's.png", Path("slides/b.png")]
    line = command_line("explain", words, bundle=str(tmp_path), **options, lock=(), fit=False, window="-600/1500")
    assert line == (
        f"""histoxplain explain 'it'"'"'s.png' b.png --bundle {tmp_path.name} --mask m.png """
        "--option directions=d.safetensors selection=determinant --window=-600/1500"
    )
