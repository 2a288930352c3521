"""Reading and writing weight files: formats, wrappers, and a sentence for every kind of bad file."""

import os
import pickle
import tarfile
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from co2net.errors import InputError, OutputError, WeightsError
from co2net.weight_files import read_metadata, read_weights, save_weights


@pytest.fixture
def state():
    return {"layer.weight": torch.randn(3, 4), "layer.bias": torch.randn(3)}


def same(a, b):
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.pth.tar", "w"])
@pytest.mark.parametrize("zipped", [True, False])
def test_reads_pytorch_files(tmp_path, state, name, zipped):
    torch.save(state, tmp_path / name, _use_new_zipfile_serialization=zipped)
    file = read_weights(tmp_path / name)
    assert same(file.state, state) and file.metadata == {} and file.path == tmp_path / name
    assert read_metadata(tmp_path / name) == {}


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w"])
def test_the_content_decides_not_the_name(tmp_path, state, name):
    save_file(state, tmp_path / name)
    assert set(read_weights(str(tmp_path / name)).state) == set(state)


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_unwraps_training_checkpoints(tmp_path, state, wrapper):
    torch.save({"epoch": 3, wrapper: state, "optimizer": {"lr": 0.1}}, tmp_path / "w.pth")
    assert same(read_weights(tmp_path / "w.pth").state, state)


def test_strips_the_multi_gpu_prefix(tmp_path, state):
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "w.pth")
    assert same(read_weights(tmp_path / "w.pth").state, state)
    mixed = {"module.a": state["layer.bias"], "b": state["layer.bias"]}  # then it is a name like any other
    torch.save(mixed, tmp_path / "mixed.pth")
    assert same(read_weights(tmp_path / "mixed.pth").state, mixed)


class Runs:
    def __reduce__(self):
        return os.mkdir, ("it_ran",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_code_is_refused_and_named(tmp_path, monkeypatch, zipped):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Runs()}, "w.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"w\.pth is not loaded.*\.mkdir.*torch\.save\(model\.state_dict"):
        read_weights("w.pth")
    assert not (tmp_path / "it_ran").exists()


def test_a_pickled_network_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"torch\.nn\.modules\.linear\.Linear"):
        read_weights(tmp_path / "w.pth")


def write_bad(kind, folder):
    """A bad file of this kind and what its message must say."""
    path = folder / ("w.safetensors" if "safetensors" in kind else "w.pth")
    if kind == "missing":
        return folder / "nowhere" / "w.pth", "does not exist"
    if kind == "folder":
        path.mkdir()
        return path, "is a folder"
    if kind.startswith("empty"):
        path.touch()
        return path, "is empty"
    if kind.startswith("text"):
        path.write_text("<html>404: not found, and more than nine bytes</html>\n")
    elif kind == "cut off":
        torch.save({"a": torch.zeros(1000)}, path)
        path.write_bytes(path.read_bytes()[:1500])
    elif kind == "cut off, old format":
        torch.save({"a": torch.zeros(1000)}, path, _use_new_zipfile_serialization=False)
        path.write_bytes(path.read_bytes()[:1500])
    elif kind == "cut off safetensors":
        save_file({"a": torch.zeros(1000)}, path)
        path.write_bytes(path.read_bytes()[:1500])
    elif kind == "plain pickle":
        path.write_bytes(pickle.dumps({"a": [1, 2]}, protocol=4))
    elif kind == "old tar":
        with tarfile.open(path, "w") as archive:
            (folder / "inside").write_text("x")
            archive.add(folder / "inside", "inside")
        return path, "old .tar layout|damaged"
    elif kind == "a list":
        torch.save([torch.zeros(2)], path)
        return path, "holds a list, not a state dict"
    elif kind == "numbers":
        torch.save({"epoch": 3}, path)
        return path, "'epoch' is no tensor"
    elif kind == "no entries":
        torch.save({}, path)
        return path, "empty dict"
    return path, "is not a weight file, or is damaged"


@pytest.mark.parametrize(
    "kind",
    [
        *("missing", "folder", "empty", "empty safetensors", "text", "text safetensors", "cut off"),
        *("cut off, old format", "cut off safetensors", "plain pickle", "old tar", "a list", "numbers", "no entries"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path, kind):
    path, message = write_bad(kind, tmp_path)
    with pytest.raises(WeightsError, match=message) as caught:
        read_weights(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "folder", "empty safetensors", "cut off safetensors"])
def test_metadata_of_bad_files(tmp_path, kind):
    path, message = write_bad(kind, tmp_path)
    with pytest.raises(WeightsError, match=message):
        read_metadata(path)


def test_a_packed_file_is_refused_before_it_is_unpacked(tmp_path):
    plain, packed = tmp_path / "w.pth", tmp_path / "packed.pth"
    torch.save({"a": torch.zeros(1 << 20)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(WeightsError, match=r"packed\.pth is compressed and claims 4 MiB, as no file of PyTorch does"):
        read_weights(packed)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"x")
    (tmp_path / "w.pth").chmod(0)
    with pytest.raises(WeightsError, match=r"cannot read weight file .*w\.pth: Permission denied"):
        read_weights(tmp_path / "w.pth")


def test_save_and_read_back(tmp_path, state):
    path = tmp_path / "w.safetensors"
    save_weights(path, {"old": torch.zeros(1)})
    tied = {**state, "transposed": state["layer.weight"].T, "tied": state["layer.weight"]}  # strided, shared memory
    save_weights(path, tied, {"format": "co2net", "training_size": "256"})
    file = read_weights(path)
    assert {*file.state} == {*tied} and all(torch.equal(file.state[name], tied[name]) for name in tied)
    assert file.metadata == read_metadata(path) == {"format": "co2net", "training_size": "256"}
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]  # nothing left beside it


def test_save_errors(tmp_path, state):
    with pytest.raises(InputError, match="metadata of weights must map text to text, got 'size': 256"):
        save_weights(tmp_path / "w.safetensors", state, {"size": 256})
    with pytest.raises(OutputError, match=r"cannot write .*w\.safetensors"):
        save_weights(tmp_path / "nowhere" / "w.safetensors", state)
