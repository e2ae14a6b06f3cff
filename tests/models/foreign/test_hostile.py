"""Files that want to run something, to fill the memory, or that are broken: one clear line, and nothing happens."""

from __future__ import annotations

import gzip
import os
import pickle
import re
import struct
import sys
import types
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch

from histoxplain import InputError
from histoxplain.models import load_discriminator, load_encoder, load_generator
from histoxplain.models.foreign import write_state_dicts
from histoxplain.models.foreign.pickles import read_pickle

TERABYTE = 2**40
STATM = Path("/proc/self/statm")


@pytest.fixture(autouse=True)
def little_memory():
    """Allow 600 MB more than there are now, so that whoever believes a claimed size fails."""
    resource = pytest.importorskip("resource", reason="needs limits on memory, which this system does not have")
    if not STATM.exists():
        pytest.skip("needs /proc to know how much memory is in use")
    used = int(STATM.read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 600 * 2**20, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.fixture
def refuse(tmp_path):
    """Write bytes to a file, load every network from it, and return the one line that every loader says."""

    def refuse(data: bytes, name: str = "network.pkl") -> str:
        path = tmp_path / name
        path.write_bytes(data)
        said = set()
        for load in (load_generator, load_discriminator, load_encoder):
            with pytest.raises(InputError) as error:
                load(path, "cpu")
            said.add(str(error.value))
        line = said.pop()
        assert not said
        assert "\n" not in line
        assert line.startswith("`path` must hold StyleGAN2 networks")
        assert f"got {path}, which" in line or f"got {path}, who" in line or f"got {path}, with" in line
        return line

    return refuse


@pytest.fixture
def evil(tmp_path):
    """An object that leaves a file behind when it is unpickled, and a check that it has not."""
    mark = tmp_path / "it ran"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch '{mark}'",)

    yield Evil()
    assert not mark.exists()


class Call:
    """Pickles itself as a call of a function with some arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture
def reconstruct(nvidia_names):
    return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj


class TestNothingRuns:
    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    def test_os_system(self, refuse, evil, protocol):
        assert "asks for posix.system" in refuse(pickle.dumps(evil, protocol))
        assert "asks for posix.system" in refuse(pickle.dumps({"G_ema": [evil]}, protocol))

    def test_text_pickles(self, refuse, evil):
        refuse(pickle.dumps(evil, 0))

    def test_in_the_bytes_of_a_storage(self, refuse, evil):
        nested = Call(torch.storage._load_from_bytes, pickle.dumps(evil))
        assert "asks for posix.system" in refuse(pickle.dumps({"G_ema": nested}))

    def test_in_the_bytes_of_a_storage_of_a_storage(self, refuse, evil):
        inner = Call(torch.storage._load_from_bytes, pickle.dumps(evil))
        outer = Call(torch.storage._load_from_bytes, pickle.dumps(inner))
        assert "asks for torch.storage._load_from_bytes" in refuse(pickle.dumps(outer))

    def test_in_the_arguments_of_a_module(self, refuse, evil, reconstruct):
        meta = {"type": "class", "version": 6, "module_src": "", "class_name": "Generator", "state": {"x": evil}}
        assert "asks for posix.system" in refuse(pickle.dumps({"G_ema": Call(reconstruct, meta)}))

    @pytest.mark.parametrize("meta", [None, {}, {"class_name": "Generator", "state": None}, {"class_name": 3}])
    def test_strange_arguments_of_a_module(self, refuse, reconstruct, meta):
        refuse(pickle.dumps({"G_ema": Call(reconstruct, meta)}))

    def test_source_code_is_not_executed(self, make_generator, write_pickle):
        assert "must never be executed" in write_pickle({"G_ema": make_generator()}).read_bytes().decode("latin1")
        load_generator(write_pickle({"G_ema": make_generator()}), "cpu")

    @pytest.mark.parametrize("legacy", [False, True])
    def test_torch_save(self, refuse, evil, tmp_path, legacy):
        torch.save({"g_ema": evil}, tmp_path / "x", _use_new_zipfile_serialization=not legacy)
        assert "asks for posix.system" in refuse((tmp_path / "x").read_bytes(), "network.pt")

    @pytest.mark.parametrize("name", ["builtins.eval", "builtins.getattr", "torch.load", "os.path.exists"])
    def test_other_names(self, refuse, name):
        module, _, name = name.rpartition(".")
        assert f"asks for {module}.{name}" in refuse(b"\x80\x02c" + f"{module}\n{name}\n.".encode())

    @pytest.mark.parametrize("code", [b"\x80\x02(S'x'\nios\nsystem\n.", b"\x80\x02(\x82\x01o."])
    def test_other_ways_to_call(self, refuse, code):
        assert "uses the pickle operation" in refuse(code)


class TestNothingBlowsUp:
    @pytest.mark.parametrize(
        "code",
        [
            b"\x80\x04\x8e" + struct.pack("<Q", TERABYTE) + b"x.",  # bytes of 1 TB
            b"\x80\x04\x8d" + struct.pack("<Q", TERABYTE) + b"x.",  # text of 1 TB
            b"\x80\x04\x95" + struct.pack("<Q", TERABYTE) + b"N.",  # a frame of 1 TB
            b"\x80\x04Nr\xff\xff\xff\xff.",  # place 4294967295 of the memo
            b"\x80\x04)\x86.",  # more than there is on the stack
        ],
    )
    def test_claims(self, refuse, code):
        refuse(code)

    def test_more_steps_than_any_network(self):
        with pytest.raises(ValueError, match="more than 1,000 steps"):
            read_pickle(BytesIO(b"\x80\x04" + b"]" * 1000 + b"."), {}, most=1000)

    def test_nested_lists(self, refuse):
        bomb = []
        for _ in range(100):
            bomb = [bomb, bomb]
        assert "holds a list, not networks" in refuse(pickle.dumps(bomb))
        refuse(pickle.dumps({"G_ema": bomb}))

    def test_keys_that_take_forever_to_hash(self, refuse):
        code = b"\x80\x02}" + b")" + b"2\x86" * 64 + b"Ns."  # {((..., ...), (..., ...)): None}
        assert "uses a tuple as a key" in refuse(code)

    @pytest.mark.parametrize("name", ["collections\nOrderedDict", "builtins\nset", "argparse\nNamespace"])
    def test_one_long_list_many_times(self, refuse, name):
        items = b"(" + b"K\x01" * 20_000 + b"l"
        code = b"\x80\x02" + items + b"q\x000" + (f"c{name}\n".encode() + b"h\x00\x85R") * 20_000 + b"."
        refuse(code)

    @pytest.mark.parametrize("shape", [(2**38,), (2**19, 2**19)])
    def test_a_tensor_of_a_terabyte(self, refuse, shape):
        weight = torch.zeros(1).expand(shape)
        assert "claims a tensor of shape" in refuse(pickle.dumps({"G_ema": weight}))

    def test_a_tensor_of_a_terabyte_in_torch_save(self, refuse, tmp_path):
        torch.save({"g_ema": {"input.input": torch.zeros(1).expand(2**38)}}, tmp_path / "x")
        assert "claims a tensor of shape" in refuse((tmp_path / "x").read_bytes(), "network.pt")

    @pytest.mark.parametrize("legacy", [False, True])
    def test_a_storage_of_a_terabyte(self, refuse, tmp_path, legacy):
        torch.save({"g_ema": torch.zeros(77)}, tmp_path / "x", _use_new_zipfile_serialization=not legacy)
        data = with_claim(tmp_path / "x", b"K\x4d", b"\x8a\x06" + (2**40).to_bytes(6, "little"))
        refuse(data, "network.pt")

    def test_a_compressed_archive(self, refuse, tmp_path):
        torch.save({"g_ema": torch.zeros(4)}, tmp_path / "x")
        refuse(with_claim(tmp_path / "x", b"", b"", zipfile.ZIP_DEFLATED), "network.pt")

    def test_weights_that_share_one_storage(self, make_generator, tmp_path):
        big = torch.zeros(2**20)
        state = {name: big[: value.numel()].view(value.shape) for name, value in make_generator().state_dict().items()}
        state |= {f"more{i}": big for i in range(100)}
        torch.save({"G_ema": state}, tmp_path / "network.pt")
        with pytest.raises(InputError, match="claim more numbers than the file has"):
            load_generator(tmp_path / "network.pt")

    def test_modules_in_circles(self, refuse, reconstruct):
        state = {"_parameters": {}, "_buffers": {}}
        state["_modules"] = {"again": Call(reconstruct, {"class_name": "Generator", "state": state})}
        refuse(pickle.dumps({"G_ema": Call(reconstruct, {"class_name": "Generator", "state": state})}))

    def test_sizes_that_no_file_of_this_length_has(self, tmp_path):
        names = ("synthesis.b4.conv1.weight", "synthesis.b4.conv1.noise_strength", "synthesis.b65536.conv1.weight")
        state = dict.fromkeys((*names, "synthesis.b4.const", "synthesis.b65536.torgb.weight"), torch.ones(1, 1, 3, 3))
        state |= {"mapping.fc0.weight": torch.ones(1, 9), "synthesis.b4.conv1.affine.weight": torch.ones(1, 9)}
        torch.save({"G_ema": state}, tmp_path / "network.pt")
        with pytest.raises(InputError, match="images of 65536 pixels"):
            load_generator(tmp_path / "network.pt")
        state = {name: value for name, value in state.items() if "65536" not in name}
        state |= {"synthesis.b4.torgb.weight": torch.ones(3, 1, 1, 1), "mapping.fc0.weight": torch.ones(1, 9000)}
        torch.save({"G_ema": state | {"synthesis.b4.conv1.affine.weight": torch.ones(1, 9000)}}, tmp_path / "wide.pt")
        with pytest.raises(InputError):
            load_generator(tmp_path / "wide.pt")


def with_claim(path, before, after, compression=zipfile.ZIP_STORED):
    """A file of torch.save with one stretch of its pickle replaced."""
    data = path.read_bytes()
    if not data.startswith(b"PK"):
        assert data.count(before) == 2  # the storage's size, and the tensor's
        return data.replace(before, after)
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, record in records.items():
            archive.writestr(name, record.replace(before, after) if name.endswith(".pkl") and before else record)
    return path.read_bytes()


class TestBrokenFiles:
    @pytest.fixture
    def whole(self, make_generator, make_discriminator, write_pickle, tmp_path):
        """A whole file in each container."""
        G, D = make_generator(), make_discriminator()
        torch.save({"G_ema": G.state_dict(), "D": D.state_dict()}, tmp_path / "zip.pt")
        torch.save({"G_ema": G.state_dict()}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
        return {"pkl": write_pickle({"G_ema": G, "D": D}), "zip": tmp_path / "zip.pt", "old": tmp_path / "old.pt"}

    @pytest.mark.parametrize("container", ["pkl", "zip", "old"])
    @pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.999])
    def test_truncated(self, refuse, whole, container, share):
        data = whole[container].read_bytes()
        refuse(data[: int(share * len(data))], whole[container].name)

    @pytest.mark.parametrize("container", ["pkl", "zip", "old"])
    def test_bits_flipped(self, whole, container):
        data, draw = whole[container].read_bytes(), np.random.default_rng(0)
        places = [*draw.integers(0, len(data), 20), *draw.integers(0, 6000, 20), *-draw.integers(1, 3000, 20)]
        outcomes = [load_flipped(whole[container], data, place, draw.integers(8)) for place in places]
        assert {True} <= set(outcomes) <= {True, False}  # a flip in the numbers of a storage cannot be seen


def load_flipped(path, data, place, bit):
    """Whether a file loads although one bit of it is wrong; anything but an `InputError` goes through."""
    flipped = bytearray(data)
    flipped[place] ^= 1 << bit
    path.write_bytes(flipped)
    try:
        load_generator(path, "cpu")
    except InputError:
        return False
    return True


class TestOtherFiles:
    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (b"", "which is empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "Git-LFS pointer"),
            (b"\n<!DOCTYPE html><html><head><title>Quota exceeded</title>", "a web page"),
            (gzip.compress(b"x", mtime=0), "compressed with gzip"),
            (b"hello", "neither a pickle nor a file of torch.save"),
            (pickle.dumps(3), "holds a int, not networks"),
            (pickle.dumps({"weights": 1, "epoch": 3}), "holds something else: weights, epoch"),
        ],
    )
    def test_other_content(self, refuse, data, says):
        assert says in refuse(data)

    def test_a_folder(self, tmp_path):
        (tmp_path / "x.pkl").mkdir()
        with pytest.raises(InputError, match="folder"):
            load_generator(tmp_path / "x.pkl")

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(InputError, match="existing file"):
            load_generator(tmp_path / "x.pkl")

    def test_a_state_dict_of_something_else(self, refuse, tmp_path):
        torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "x")
        assert "holds something else: weight, bias" in refuse((tmp_path / "x").read_bytes(), "linear.pt")

    def test_a_whole_network_object(self, refuse, tmp_path):
        torch.save(torch.nn.Linear(2, 2), tmp_path / "x")
        assert "asks for torch.nn.modules.linear.Linear" in refuse((tmp_path / "x").read_bytes(), "linear.pt")

    def test_archives_of_something_else(self, refuse, tmp_path):
        np.savez(tmp_path / "x.npz", a=np.ones(3))
        assert "not one of torch.save" in refuse((tmp_path / "x.npz").read_bytes(), "x.npz")

    def test_a_pickle_of_tensorflow(self, refuse, monkeypatch):
        class Network:
            pass

        Network.__module__, Network.__qualname__ = "dnnlib.tflib.network", "Network"
        for name in ("dnnlib", "dnnlib.tflib", "dnnlib.tflib.network"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setattr(sys.modules["dnnlib.tflib.network"], "Network", Network, raising=False)
        assert "TensorFlow pickle" in refuse(pickle.dumps((Network(), Network(), Network())))

    def test_ours_are_told_by_their_content(self, make_generator, tmp_path):
        from histoxplain.models import save_generator

        save_generator(tmp_path / "renamed.bin", make_generator())
        assert load_generator(tmp_path / "renamed.bin", "cpu").img_resolution == 16

    def test_the_line_reads_well(self, refuse, tmp_path):
        line = refuse(b"hello", "ffhq.pkl")
        assert re.fullmatch(r"`path` must hold .*, got \S+ffhq\.pkl, which is neither .*; download it again .*\.", line)


def test_writing_refuses_unknown_layouts(make_generator, tmp_path):
    with pytest.raises(InputError, match="`layout` must be one of"):
        write_state_dicts(tmp_path / "x.pt", {"generator": make_generator()}, "keras")
