"""An evaluation in several processes of its own is the one in one process."""

from __future__ import annotations

import pytest
from evaluation.small_data_set import write_data_set

import co2net
from co2net.errors import InputError


def test_processes_share_the_clips(tmp_path):
    root = write_data_set(tmp_path / "data", clips=3, frames=2)
    settings = {"methods": ("composite", "reinhard"), "size": 32, "workers": 0, "device": "cpu"}
    one = co2net.evaluate(root, "test_frames.txt", output=tmp_path / "one", **settings)
    two = co2net.evaluate(root, "test_frames.txt", output=tmp_path / "two", processes=2, overwrite=True, **settings)
    assert one is not None and two is not None and one.rows == two.rows and len(one.rows) == 12
    with pytest.raises(InputError, match="folder as `output`"):
        co2net.evaluate(root, "test_frames.txt", processes=2, **settings)
