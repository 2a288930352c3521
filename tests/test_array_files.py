"""Arrays of anybody: right ones come back, any others end in one sentence, in bounded time and memory."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from co2net.array_files import read_npy, read_npz
from co2net.errors import InputError


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


GOOD = npy(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
HEADS = [
    GOOD[:128].replace(b"(2, 3, 4)", text)
    for text in (b"(9**9,3)", b"(-2,-12)", b"(0, 3, 4)", b"(2, 3, 5)", b"((((((((")
]


def refused(path, read):
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "array", [np.ones((2, 3)), np.zeros(0), np.asfortranarray(np.arange(6).reshape(2, 3)), np.eye(2) > 0]
)
def test_arrays_come_back(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array)
    np.savez_compressed(tmp_path / "a.npz", one=array, two=array)
    assert list(read_npz(tmp_path / "a.npz")) == ["one", "two"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\3\4",
        b"\x93NUMPY",
        GOOD[:100],
        GOOD[:-1],
        GOOD + b"x",
        npy(np.array(["a"])),
        *(h + GOOD[128:] for h in HEADS),
    ],
)
def test_what_a_header_claims_is_compared_with_the_file(tmp_path, content):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    refused(path, read_npy)


def test_a_terabyte_is_not_allocated(tmp_path):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (1 << 38,)})
    refused(path, read_npy)


def test_a_small_archive_that_claims_gigabytes(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "abcd":
            archive.writestr(f"{name}.npy", bytes(300 << 20))
    refused(path, read_npz)


def test_missing_files_are_told_apart(tmp_path):
    for read in (read_npy, read_npz):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "nowhere")
        refused(tmp_path, read)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=12), st.booleans())
def test_damaged_files_never_raise_anything_else(tmp_path_factory, place, change, archived):
    folder = tmp_path_factory.getbasetemp()
    content = GOOD[:place] + change + GOOD[place + len(change) :]
    path, read = folder / "d.npy", read_npy
    if archived:
        buffer = io.BytesIO()
        np.savez(buffer, a=np.arange(3.0))
        whole = buffer.getvalue()
        place = place * len(whole) // len(GOOD)
        content, path, read = whole[:place] + change + whole[place + len(change) :], folder / "d.npz", read_npz
    path.write_bytes(content)
    try:
        read(path)
    except InputError as error:
        assert "\n" not in str(error)
