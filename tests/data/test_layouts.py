"""A layout of one's own is one file and one line, and is then read by training, evaluation and the check alike."""

from __future__ import annotations

import numpy as np
import pytest
import toy_layout  # noqa: F401  # registers itself
from PIL import Image

from co2net import data
from co2net.cli import main as co2net
from co2net.data.clips import group_clips
from co2net.data.layouts import LAYOUTS
from co2net.errors import InputError
from co2net.evaluation.run import evaluate
from co2net.evaluation.temporal.pairs import FlowChoice


@pytest.fixture(autouse=True)
def _toy_only_here():
    before = list(LAYOUTS)
    yield
    LAYOUTS[:] = before


def picture(path, value, size=(24, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 90, 200)).save(path)


def mask(path, size=(24, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros(size[::-1], np.uint8)
    values[4:10, 6:15] = 255
    Image.fromarray(values).save(path)


def toy(root):
    (root / "toy.txt").parent.mkdir(parents=True)
    (root / "toy.txt").write_text("a\nb\n")
    for name in ("a", "b"):
        picture(root / f"{name}.real.png", 10)
        picture(root / f"{name}.composite.png", 90)
        mask(root / f"{name}.mask.png")
    return root


def iharmony4(root):
    for sub_set in ("HFlickr", "Hday2night"):
        names = [f"{sub_set[1]}{n}_1_{v}" for n in range(2) for v in (1, 2)]
        for k, name in enumerate(names):
            size = (24 + 2 * k, 16)
            picture(root / sub_set / "composite_images" / f"{name}.jpg", 90, size)
            mask(root / sub_set / "masks" / f"{name.rsplit('_', 1)[0]}.png", size)
            picture(root / sub_set / "real_images" / f"{name.rsplit('_', 2)[0]}.jpg", 10, size)
        for name in names[::2]:  # variants of one image share its mask and real picture
            picture(root / sub_set / "composite_images" / f"{name}.jpg", 80, size)
    lines = sorted(path.relative_to(root).as_posix() for path in root.glob("*/composite_images/*"))
    for sub_set in ("HFlickr", "Hday2night"):
        for name in (path.name for path in (root / sub_set / "composite_images").iterdir()):
            size = Image.open(root / sub_set / "masks" / f"{name.rsplit('_', 1)[0]}.png").size
            picture(root / sub_set / "composite_images" / name, 90, size)
    (root / "IHD_test.txt").write_text("\n".join(lines))
    (root / "IHD_train.txt").write_text("\n".join(lines[:3]))
    return root


def stills(root):
    for name in ("one", "two"):
        picture(root / "images" / f"{name}.jpg", 40)
        mask(root / "masks" / f"{name}_0.png")
        mask(root / "masks" / f"{name}_1.png")
    return root


@pytest.mark.parametrize("make", [toy, iharmony4, stills])
def test_the_check_reads_every_layout(tmp_path, make, capsys):
    root = make(tmp_path / "set")
    assert co2net(["dataset", "check", str(root), "-q"]) == 0
    assert "no problems" in capsys.readouterr().out


@pytest.mark.parametrize("make", [toy, iharmony4])
def test_pictures_of_every_layout_are_their_own_neighbors(tmp_path, make):
    samples = data.read_dataset(make(tmp_path / "set"), split="test")
    clips = group_clips(samples)
    assert sum(len(clip.entries) for clip in clips) == len(samples) == len({s.result_name for s in samples})
    for clip in clips:
        assert len({entry.number for entry in clip.entries}) == len(clip.entries)
        for entry in clip.entries:
            assert clip.neighbors(entry, 2, 1) == [entry] * 3 and not clip.is_video


def test_what_the_check_passes_the_evaluation_takes(tmp_path):
    root = iharmony4(tmp_path / "set")
    found = evaluate(root, size=32, previous=1, future=0, methods=("composite",), device="cpu", workers=0)
    assert found is not None and len(found.rows) == 8 * len({row["method"] for row in found.rows})
    with pytest.raises(InputError, match="no two listed frames of a clip are 5 numbers apart"):
        evaluate(root, size=32, methods=("composite",), device="cpu", workers=0, flow=FlowChoice())
    with pytest.raises(InputError, match="no composites"):
        evaluate(stills(tmp_path / "stills"), methods=("composite",), device="cpu", workers=0)


def test_a_list_of_another_kind_is_read_beside_the_layout(tmp_path):
    root = toy(tmp_path / "set")
    (root / "frames.txt").write_text("a.real.png a.mask.png a.composite.png\n")
    with pytest.raises(InputError, match="no frame number"):
        data.read_dataset(root, "frames.txt")


def test_photographs_are_samples_without_composites(tmp_path):
    root = stills(tmp_path / "set")
    samples = data.read_dataset(root)
    assert [(s.real.name, len(s.masks), s.has_composite, s.number) for s in samples] == [
        ("one.jpg", 2, False, 0), ("two.jpg", 2, False, 1),
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"holds photographs with masks and no composites \(one\.jpg\)"):
        data.read_dataset(root, composites=True)


def test_a_problem_of_another_mask_is_found(tmp_path):
    root = stills(tmp_path / "set")
    mask(root / "masks" / "two_1.png", (10, 10))
    (problem,) = data.check_pictures(data.read_dataset(root))
    assert problem.endswith("two_1.png is 10x10, its picture 24x16")


def test_a_frame_that_is_listed_twice_is_found(tmp_path):
    for folder, make in (("real_videos/v", lambda path: picture(path, 1)), ("foreground_mask/v/o", mask)):
        make(tmp_path / folder / "00005.png")
    picture(tmp_path / "synthetic_composite_videos/v/o/00005.png", 9)
    line = "real_videos/v/00005.png foreground_mask/v/o/00005.png synthetic_composite_videos/v/o/00005.png\n"
    (tmp_path / "list.txt").write_text(2 * line)
    assert data.check_pictures(data.read_dataset(tmp_path, "list.txt")) == ["v/o: frame 00005 is listed twice"]
