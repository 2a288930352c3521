"""What a worker does, in this process: the frame on show is the clip's; limits hold whatever headers say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from video import clips

from co2net.app.tasks import Workshop
from co2net.errors import Cancelled, InputError
from co2net.video import open_video

LIMITS = {"pixels": 100_000, "frames": 100}


@pytest.fixture
def work(app_models, monkeypatch, tmp_path, files):
    """Have a job done: ``work("look", {"composite": "clip.mp4"}, frame=3)``."""
    monkeypatch.setenv("CO2NET_MODELS", str(app_models))
    workshop = Workshop("cpu")

    def do(kind: str, given: dict[str, str], *, cancel=lambda: False, limits=LIMITS, **options: Any) -> Any:
        paths = {role: str(files.get(name, name)) for role, name in given.items()}
        order = {"id": "x", "kind": kind, "folder": str(tmp_path), "files": paths, "names": {}, "options": options}
        return workshop.work({**order, "limits": limits}, lambda done, total: None, cancel)

    return do


@pytest.mark.parametrize("frame", [0, 3, 99])
def test_the_frame_on_show_is_what_the_clip_becomes(work, tmp_path, frame):
    both = {"composite": "clip.mp4", "mask": "mask.mp4"}
    seen = work("look", both, model="default", frame=frame)
    number = min(frame, 5)
    assert seen["facts"]["frame"] == number
    before = cv2.imread(str(tmp_path / "out" / "before.jpg"))[..., ::-1].astype(np.float32)
    change = np.load(tmp_path / "out" / "change.npy").astype(np.float32) * 255
    work("harmonize", both, model="default", strength=0.5, format="mkv")
    with open_video(tmp_path / "out" / "harmonized.mkv") as reader:
        after = [picture.image for picture in reader][number].astype(np.float32)
    with open_video(files_of(tmp_path, both)) as reader:
        source = [picture.image for picture in reader][number].astype(np.float32)
    assert np.abs(change).max() > 3 and np.abs(source - before).mean() < 3  # JPEG
    # 4:2:0 keeps colors at half the size: compare where the change is smooth.
    assert np.abs(source + 0.5 * change - after).mean() < 1


def files_of(folder: Path, both: dict[str, str]) -> Path:
    return next(path for path in folder.parent.rglob(both["composite"]) if path.is_file())


def test_a_large_frame_is_shown_smaller(work, tmp_path):
    picture = clips.picture(1600, 900)
    cv2.imwrite(str(tmp_path / "large.png"), picture)
    cv2.imwrite(str(tmp_path / "mask.png"), clips.disc(1600, 900))
    given = {"composite": str(tmp_path / "large.png"), "mask": str(tmp_path / "mask.png")}
    work("look", given, model="default", limits={"pixels": 2_000_000, "frames": 9})
    assert np.load(tmp_path / "out" / "change.npy").shape == (720, 1280, 3)
    told = work("describe", {"clip": str(tmp_path / "large.png")}, limits={"pixels": 2_000_000, "frames": 9})
    assert told["facts"]["width"] == 1600 and cv2.imread(str(tmp_path / "out" / "frame.png")).shape == (720, 1280, 3)


def test_describe_says_what_a_clip_is(work, tmp_path):
    facts = work("describe", {"clip": "clip.mp4"}, frame=2)["facts"]
    assert facts == {"kind": "video", "width": 96, "height": 64, "frames": 6, "frame_rate": 25.0, "alpha": False}
    still = cv2.imread(str(tmp_path / "out" / "frame.png"))[..., ::-1].astype(int)
    assert np.abs(still - clips.picture(96, 64, 2)).mean() < 4


def test_frames_are_counted_where_the_header_says_nothing(work, files, tmp_path):
    clips.make_video(tmp_path / "clip.mkv", 12, (96, 64))
    with open_video(tmp_path / "clip.mkv") as reader:
        assert reader.info.frame_count is None
    with pytest.raises(InputError, match="more than the 10 frames"):
        work(
            "harmonize",
            {"composite": str(tmp_path / "clip.mkv"), "mask": "mask.png"},
            limits={"pixels": 10_000, "frames": 10},
            model="default",
            format="mp4",
        )
    assert not list((tmp_path / "out").iterdir())


def test_what_nobody_wants_ends(work):
    with pytest.raises(Cancelled):
        work("look", {"composite": "clip.mp4", "mask": "mask.mp4"}, cancel=lambda: True, model="default")
    with pytest.raises(Cancelled):
        work("describe", {"clip": "clip.mp4"}, cancel=lambda: True)


def test_expected_error_is_told_where_the_network_tells_it(work, monkeypatch):
    facts = work("harmonize", {"composite": "clip.mp4", "mask": "mask.mp4"}, model="default", format="mp4")["facts"]
    assert list(facts) == ["change"]  # iSSAM does not say how sure it is
    monkeypatch.delenv("CO2NET_MODELS")
    facts = work("harmonize", {"composite": "clip.mp4", "mask": "mask.mp4"}, model="lutnet", format="mp4")["facts"]
    assert 0 < facts["expected_error"] < 255


def test_headers_of_floating_point_pictures_are_read(work, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((400, 300, 3), np.float32))
    with pytest.raises(InputError, match="is 300x400, more than the 100,000 pixels"):
        work("describe", {"clip": str(tmp_path / "float.tif")})
