"""SVCNet's scribble programs: names, sizes and colors of the files they leave, and what is wrong with their input."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from co2net.cli import color_scribbles
from co2net.colorization.scribbles import diverse, widen

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SMALL = ["--crop_size_h", "48", "--crop_size_w", "64", "--color_point", "7"]


def save(path, rgb):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path)


def load(path):
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.fixture
def clips(tmp_path):
    """Two clips that move right by two pixels a frame, and their lists."""
    rng = np.random.default_rng(0)
    names = []
    for clip in ("bear", "dog"):
        coarse = Image.fromarray(rng.integers(40, 250, (12, 20, 3), np.uint8))
        wide = np.asarray(coarse.resize((160, 96), Image.Resampling.BICUBIC))
        for k in range(3):
            names.append(f"{clip}/{k:05}.png")
            save(tmp_path / "val" / "DAVIS" / names[-1], wide[:, 20 - 2 * k : 148 - 2 * k])
    (tmp_path / "txt").mkdir()
    (tmp_path / "txt" / "DAVIS_test_class.txt").write_text("bear\ndog")  # no line end after the last entry
    (tmp_path / "txt" / "DAVIS_test_imagelist.txt").write_text("\n".join(names))
    return tmp_path


def test_listed_clips_leave_four_files_a_frame(clips, capsys):
    roots = ["--baseroot", str(clips / "val"), "--saveroot", str(clips / "out"), "--txt_path", str(clips / "txt")]
    assert color_scribbles.lists_main([*roots, *SMALL]) == 0
    said = capsys.readouterr()
    assert "24 files" in said.out and "DIS" in said.err
    folder = clips / "out" / "DAVIS" / "dog"
    for k in range(3):
        sparse, large = load(folder / f"{k:05}_48p_not_widen.png"), load(folder / f"{k:05}_not_widen.png")
        assert sparse.shape == (48, 64, 3) and large.shape == (96, 128, 3)
        np.testing.assert_array_equal(load(folder / f"{k:05}_48p.png"), widen(sparse))
        np.testing.assert_array_equal(load(folder / f"{k:05}.png"), widen(large))
    first, last = (load(folder / f"{k:05}_48p_not_widen.png").any(axis=2) for k in (0, 2))
    assert first.sum() == 7
    middle = [np.argwhere(where)[:, 1].mean() for where in (first, last)]
    assert middle[1] > middle[0]  # with the motion
    assert not np.array_equal(first, load(clips / "out" / "DAVIS" / "bear" / "00000_48p_not_widen.png").any(axis=2))
    assert color_scribbles.lists_main([*roots, *SMALL, "--flow_from", "neighbour", "--show", "False"]) == 0


def test_a_clip_from_a_given_scribble(clips):
    frames = clips / "val" / "DAVIS" / "bear"
    drawn = np.zeros((24, 32, 3), np.uint8)  # smaller than the working size: nothing is mixed with black
    drawn[10, 12] = 250, 10, 20
    save(clips / "first.png", drawn)
    roots = ["--baseroot", str(frames), "--saveroot", str(clips / "out")]
    assert color_scribbles.video_main([*roots, *SMALL, "--scribbleroot", str(clips / "first.png")]) == 0
    first = load(clips / "out" / "00000_48p_not_widen.png")
    assert first.any(axis=2).sum() == 4 and set(map(tuple, first[first.any(axis=2)])) == {(250, 10, 20)}
    assert color_scribbles.video_main([*roots, *SMALL, "--scribbleroot", ""]) == 0
    assert load(clips / "out" / "00000_48p_not_widen.png").any(axis=2).sum() == 7


def test_pictures_mappings_and_wide_squares(clips):
    frames = clips / "val" / "DAVIS"
    assert (
        color_scribbles.images_main(["--baseroot", str(frames), "--saveroot", str(clips / "a_256p.png"), *SMALL]) == 0
    )
    made = clips / "a_256p.png" / "dog" / "00001.png"
    assert load(made).shape == (48, 64, 3)
    both = ["--baseroot", str(clips / "a_256p.png"), "--keyword", "00001"]
    assert color_scribbles.mapping_main([*both, "--saveroot", str(clips / "diverse")]) == 0
    for k in (1, 2, 3, 4):
        changed = load(clips / "diverse" / f"diverse{k}" / "dog" / "00001.png")
        np.testing.assert_array_equal(changed, diverse(load(made), k))
    assert color_scribbles.widen_main([*both, "--saveroot", str(clips / "seen")]) == 0
    assert load(clips / "seen" / "bear" / "00001_vis.png").any(axis=2).sum() > load(made).any(axis=2).sum()


@pytest.mark.parametrize(
    ("program", "arguments", "says"),
    [
        ("lists_main", ["--txt_path", "nowhere"], "DAVIS_test_class.txt"),
        ("video_main", ["--baseroot", "val/DAVIS/bear"], "00000_256p_not_widen.png"),
        ("images_main", ["--baseroot", "nowhere"], "no pictures"),
        ("mapping_main", ["--baseroot", "val", "--keyword", "_256p.png"], "_256p.png"),
        ("widen_main", ["--baseroot", "nowhere"], "nowhere"),
        ("video_main", ["--baseroot", "val", "--scribbleroot", ""], "no pictures"),
        ("images_main", ["--baseroot", "val", "--color_point", "0"], "color_point"),
    ],
)
def test_bad_input_ends_in_one_sentence(clips, monkeypatch, capsys, program, arguments, says):
    monkeypatch.chdir(clips)
    assert getattr(color_scribbles, program)(arguments) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert says in said[-1] and not any("Traceback" in line for line in said)


def test_a_list_that_names_other_clips(clips, capsys):
    (clips / "txt" / "DAVIS_test_class.txt").write_text("bear\n")
    roots = ["--baseroot", str(clips / "val"), "--saveroot", str(clips / "out"), "--txt_path", str(clips / "txt")]
    assert color_scribbles.lists_main([*roots, *SMALL]) == 2
    assert "line 4" in capsys.readouterr().err


def test_miou_is_one_confusion_matrix_over_all_frames(tmp_path, capsys):
    rng = np.random.default_rng(1)
    counts, lines = np.zeros((2, 2)), []
    for k in range(3):
        truth, found = (rng.choice([0, 128, 255], (20, 30)).astype(np.uint8) for _ in range(2))
        for folder, mask in (("gt", truth), ("pred", found)):
            save(tmp_path / folder / "bear" / f"{k:05}.png", mask)
        lines.append(f"DAVIS/Annotations/480p/bear/{k:05}.png" if k else f"bear/{k:05}.png")
        for t in (0, 1):
            for p in (0, 1):
                counts[t, p] += ((truth == 255) == t)[(found == 255) == p].sum()
    (tmp_path / "list.txt").write_text("\n".join(lines))
    arguments = [f"--{name}={tmp_path / name[:-5]}" for name in ("gt_path", "pred_path")]
    assert color_scribbles.miou_main([*arguments, f"--list={tmp_path / 'list.txt'}"]) == 0
    wanted = np.mean([counts[c, c] / (counts[c].sum() + counts[:, c].sum() - counts[c, c]) for c in (0, 1)])
    said = capsys.readouterr().out
    assert f"mIoU {wanted:.4f}" in said and "3 frames" in said and "0.9004  SVCNet" in said
    save(tmp_path / "pred" / "bear" / "00002.png", np.zeros((4, 5), np.uint8))
    assert color_scribbles.miou_main([*arguments, f"--list={tmp_path / 'list.txt'}"]) == 2
    assert "5x4" in capsys.readouterr().err
    (tmp_path / "pred" / "bear" / "00000.png").unlink()
    assert color_scribbles.miou_main([*arguments, f"--list={tmp_path / 'list.txt'}"]) == 2
    assert "line 1" in capsys.readouterr().err


def test_a_sheet_shows_points_colors_and_truth(clips, capsys):
    frames, sheet = clips / "val" / "DAVIS" / "bear", clips / "sheet.png"
    assert color_scribbles.sheet_main([str(frames), "-o", str(sheet), "--frames", "0", "2", "--width", "64"]) == 0
    assert "2 rows" in capsys.readouterr().out
    shown = load(sheet)
    assert shown.shape == (22 + 2 * 48 + 2 * 6, 3 * 64 + 2 * 6, 3)
    spread = shown[24:68].astype(int).max(axis=2) - shown[24:68].astype(int).min(axis=2)
    assert spread[:, :64].mean() < spread[:, 70:134].mean()  # few points against a colored frame
    for arguments, says in (
        (["--frames", "9"], "none of the frames"),
        (["--frames", "-1"], "begin at 0"),
        (["--points", "0"], "points"),
        (["-o", str(clips / "sheet.gif")], ".png or .jpg"),
    ):
        assert color_scribbles.sheet_main([str(frames), "-o", str(sheet), *arguments]) == 2
        assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "generate_color_scribbles_ImageNet",
        "generate_color_scribbles_DAVIS_videvo",
        "generate_color_scribbles_video",
        "mapping_diverse_color_scribbles",
        "widen_color_scribbles_for_better_vis",
        "evaluate_miou",
        "color_sheet",
    ],
)
def test_scripts_have_the_published_names(name, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [f"{name}.py", "--help"])
    monkeypatch.syspath_prepend(SCRIPTS)  # as for a program that is started
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
    assert f"{name}.py" in capsys.readouterr().out
