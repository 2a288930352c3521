"""What made a result: the same values have the same hash, and what was made otherwise is told in a phrase each."""

import pytest
import torch

from co2net.errors import InputError
from co2net.provenance import NoteKind, Records, differences, state_sha256

KIND = NoteKind("co2net-test", "a note of the tests", "delete it", version=3)


def test_values_decide_the_hash_of_weights():
    state = {"b": torch.arange(6.0).view(2, 3), "a": torch.tensor(7)}
    other = {"a": torch.tensor(7), "b": torch.arange(6.0).view(3, 2).T.contiguous().T.reshape(2, 3)}
    assert state_sha256(state) == state_sha256(other) != state_sha256({**state, "a": torch.tensor(8)})
    assert state_sha256(state)[:12] == "3537a672d93c"  # as stored beside results of earlier versions
    assert state_sha256({"a": torch.ones(2, dtype=torch.bfloat16)}) != state_sha256({"a": torch.ones(2)})


def test_every_difference_is_a_phrase():
    found = {"size": 256, "weights": {"model": "a" * 64}, "gone": 1, "steps": [1, 2]}
    wanted = {"size": 128, "weights": {"model": "b" * 64}, "steps": (1, 2)}
    assert differences(found, wanted) == [
        "size was 256, is 128", "weights was model aaaaaaaaaaaa, is model bbbbbbbbbbbb", "gone was 1, is not recorded",
    ]  # fmt: skip
    assert differences(found, wanted, ("steps", "size")) == ["size was 256, is 128"]


def test_a_note_comes_back_without_its_head(tmp_path):
    path = tmp_path / "below" / "note.json"
    assert KIND.read(path) is None
    KIND.write(path, {"a": 1})
    assert KIND.read(path) == {"a": 1} and '"version": 3' in path.read_text()


@pytest.mark.parametrize("text", ["", "[]", "3", '{"format": "co2net-test", "version": 2}', "[" * 10_000, "\0"])
def test_what_is_no_note_is_named(tmp_path, text):
    (tmp_path / "note.json").write_text(text)
    with pytest.raises(InputError, match=r"note\.json is not a note of the tests; delete it"):
        KIND.read(tmp_path / "note.json")


def test_records_are_found_by_name(tmp_path):
    records = Records(tmp_path / "records", KIND)
    assert list(records.all()) == [] and records.read("b/c") is None
    records.write("b/c", {"n": 1})
    records.write("a", {"n": 2})
    assert list(records.all()) == [("a", {"n": 2}), ("b/c", {"n": 1})]
