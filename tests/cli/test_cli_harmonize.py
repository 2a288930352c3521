"""`co2net harmonize` as a user types it."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import time

import cv2
import numpy as np
import PyOpenColorIO as ocio
import pytest
from video import clips

from co2net import load_cube
from co2net.cli import main
from co2net.video import open_video

SIZE = (96, 64)
COMMAND = (sys.executable, "-m", "co2net", "harmonize")


@pytest.fixture
def one_thread(_use_models):
    """The environment of a process of its own."""
    return os.environ | {"OMP_NUM_THREADS": "1"}


def pictures(path):
    with open_video(path) as reader:
        return [frame.image for frame in reader]


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_video_to_video(run, clip, tmp_path):
    code, out, err = run("harmonize", clip / "composite.mp4", "--mask", clip / "mask", "-o", "out.mp4")
    assert code == 0 and out == "out.mp4\n"
    assert "running on cpu" in err and re.search(r"5 frames in [\d.]+ s \([\d.]+ frames/s\)", err)
    with open_video(tmp_path / "out.mp4") as reader:
        assert reader.info.has_audio and (reader.info.width, reader.info.height) == SIZE
        assert sum(1 for _ in reader) == 5
    sound = [clips.packets(path)[0] for path in (clip / "composite.mp4", tmp_path / "out.mp4")]
    assert [data for _, data in sound[0]] == [data for _, data in sound[1]]
    assert listing(tmp_path) == sorted(["in", "out.mp4", *(f"in/{name}" for name in listing(clip))])


def test_lossless_video_is_the_same_bit_for_bit_outside_the_mask(run, clip, tmp_path, outside):
    code, *_ = run("harmonize", clip / "composite.mp4", "--mask", clip / "mask", "-o", "out.mkv")
    assert code == 0
    for before, after in zip(clips.planes(clip / "composite.mp4"), clips.planes(tmp_path / "out.mkv"), strict=True):
        assert np.array_equal(before[0][outside], after[0][outside])
        assert not np.array_equal(before[0], after[0]), "the foreground has to change"


def test_folder_to_folder(run, tmp_path, outside):
    frames = clips.make_folder(tmp_path / "frames", [clips.picture(*SIZE, n) for n in range(3)], "shot_{:03d}.png")
    masks = clips.make_folder(tmp_path / "masks", [clips.disc(*SIZE)] * 3)
    code, out, _ = run("harmonize", frames, "--mask", masks)
    assert (code, out) == (0, f"{tmp_path / 'frames.harmonized'}\n")
    assert listing(tmp_path / "frames.harmonized") == listing(frames)
    for before, after in zip(pictures(frames), pictures(tmp_path / "frames.harmonized"), strict=True):
        assert np.array_equal(before[outside], after[outside]) and not np.array_equal(before, after)


def test_a_folder_whose_name_has_a_dot(run, clip, tmp_path):
    code, *_ = run("harmonize", clip / "composite.mp4", "--mask", clip / "mask", "-o", "shot.v2/")
    assert code == 0 and len(listing(tmp_path / "shot.v2")) == 5


def test_image_to_picture(run, clip, tmp_path, outside):
    photo = clips.make_folder(tmp_path / "photo", [clips.picture(*SIZE)]) / "001.png"
    code, *_ = run("harmonize", photo, "--mask", clip / "mask" / "001.png", "-o", "result.png")
    assert code == 0
    assert np.array_equal(pictures(photo)[0][outside], pictures(tmp_path / "result.png")[0][outside])


def test_jpeg_with_a_quality(run, clip, tmp_path):
    photo = clips.make_folder(tmp_path / "photo", [clips.picture(*SIZE)], "{:03d}.jpg") / "001.jpg"
    arguments = ("harmonize", photo, "--mask", clip / "mask" / "001.png", "-o")
    assert run(*arguments, "fine.jpg", "--quality", "95")[0] == 0
    assert run(*arguments, "rough.jpg", "--quality", "20")[0] == 0
    assert (tmp_path / "rough.jpg").stat().st_size < (tmp_path / "fine.jpg").stat().st_size


def test_codec_and_quality(run, clip, tmp_path):
    arguments = ("harmonize", clip / "composite.mp4", "--mask", clip / "mask")
    assert run(*arguments, "-o", "out.mp4", "--codec", "libx265", "--quality", "30")[0] == 0
    with open_video(tmp_path / "out.mp4") as reader:
        assert reader.info.codec == "hevc"
    code, _, err = run(*arguments, "-o", "out.mp4", "--quality", "99")
    assert code == 2 and "H.264 takes 0 (best) to 51" in err


def test_alpha_channel_is_the_mask(run, tmp_path):
    pictures_rgba = [np.dstack([clips.picture(*SIZE, n), clips.disc(*SIZE)]) for n in range(2)]
    frames = clips.make_folder(tmp_path / "rgba", pictures_rgba)
    assert run("harmonize", frames, "-o", "out")[0] == 0
    assert listing(tmp_path / "out") == listing(frames)


def test_foreground_over_background(run, clip, tmp_path, outside):
    front = clips.make_folder(tmp_path / "front", [np.full((*SIZE[::-1], 3), (200, 40, 40), np.uint8)] * 5)
    code, *_ = run(
        *("harmonize", "--foreground", front, "--background", clip / "composite.mp4"),
        *("--mask", clip / "mask", "-o", "out.mkv"),
    )
    assert code == 0
    for before, after in zip(clips.planes(clip / "composite.mp4"), clips.planes(tmp_path / "out.mkv"), strict=True):
        assert np.array_equal(before[0][outside], after[0][outside])


def test_the_cube_is_read_by_a_grading_program(run, clip, tmp_path):
    code, *_ = run(
        *("harmonize", clip / "composite.mp4", "--mask", clip / "mask", "-o", "out.mp4", "--cube", "look.cube")
    )
    assert code == 0
    transform = ocio.FileTransform(src=str(tmp_path / "look.cube"), interpolation=ocio.INTERP_LINEAR)
    processor = ocio.Config.CreateRaw().getProcessor(transform).getDefaultCPUProcessor()
    color = [8 / 32, 16 / 32, 20 / 32]  # a grid point: no interpolation
    expected = load_cube(tmp_path / "look.cube").reshape(3, 33, 33, 33)[:, 20, 16, 8]
    assert processor.applyRGB(color) == pytest.approx(expected.tolist(), abs=1e-4)


def test_default_name(run, clip):
    code, out, _ = run("harmonize", clip / "composite.mp4", "--mask", clip / "mask")
    assert code == 0 and out == f"{clip / 'composite.harmonized.mp4'}\n"
    assert (clip / "composite.harmonized.mp4").is_file()


def test_quiet_says_nothing(run, clip):
    assert run("harmonize", clip / "composite.mp4", "--mask", clip / "mask", "-o", "out.mp4", "-q") == (0, "", "")


def test_notes_reach_the_user(run, clip):
    _, _, err = run("harmonize", clip / "composite.mp4", "--mask", clip / "mask", "-o", "frames")
    assert "note: a folder of frames has no sound" in err


def test_weights_by_path_and_by_name(run, clip, models_folder):
    arguments = ("harmonize", clip / "composite.mp4", "--mask", clip / "mask", "-o", "out.mp4")
    assert run(*arguments, "--weights", models_folder / "issam.safetensors")[0] == 0
    assert run(*arguments, "--weights", "issam", "--backbone", "issam")[0] == 0


# What goes wrong: exit code 2, one sentence, nothing left behind.

BASE = ("{in}/composite.mp4", "--mask", "{in}/mask", "-o", "out.mp4")
ERRORS = {
    "no input": ((), "give a composite video"),
    "missing composite": (("nowhere.mp4", "--mask", "{in}/mask"), "nowhere.mp4: no such file or folder"),
    "missing mask": (("{in}/composite.mp4", "--mask", "nowhere"), "nowhere: no such file or folder"),
    "no mask and no alpha": (("{in}/composite.mp4",), "has no alpha channel; say where its foreground is with --mask"),
    "text named mp4": (("{in}/text.mp4", "--mask", "{in}/mask"), "text.mp4: not a video"),
    "empty file": (("{in}/empty.mp4", "--mask", "{in}/mask"), "empty.mp4: the file is empty"),
    "text as mask": (("{in}/composite.mp4", "--mask", "{in}/text.png"), "text.png"),
    "truncated video": (("{in}/cut.mkv", "--mask", "{in}/long_mask"), "cut.mkv"),
    "shorter mask": (("{in}/composite.mp4", "--mask", "{in}/short_mask"), "short_mask ends after 3 frames"),
    "longer mask": (("{in}/composite.mp4", "--mask", "{in}/long_mask"), "long_mask has more frames than the 5"),
    "mask of another size": (("{in}/composite.mp4", "--mask", "{in}/small_mask"), "--mask-fit resize"),
    "mask of another rate": (("{in}/composite.mp4", "--mask", "{in}/mask50.mp4"), "--mask-retime nearest"),
    "empty mask": (("{in}/composite.mp4", "--mask", "{in}/black_mask"), "the mask is empty in all 5 frames"),
    "missing output folder": ((*BASE[:4], "nowhere/out.mp4"), "the folder .*nowhere does not exist"),
    "output is the input": ((*BASE[:4], "{in}/composite.mp4"), "is an input; choose another name"),
    "output is the mask": ((*BASE[:4], "{in}/mask"), "is an input"),
    "unknown ending": ((*BASE[:4], "out.xyz"), "unknown ending .xyz"),
    "unknown codec": ((*BASE, "--codec", "cinepak"), "codec cinepak: unknown"),
    "codec of another container": ((*BASE, "--codec", "prores"), "do not hold ProRes"),
    "unknown weights": ((*BASE, "--weights", "nothing"), "nothing"),
    "missing weight file": ((*BASE, "--weights", "./nothing.pth"), "nothing.pth does not exist"),
    "weights that are none": ((*BASE, "--weights", "{in}/text.mp4"), "is not a weight file"),
    "unknown backbone": ((*BASE, "--backbone", "resnet"), "resnet"),
    "unknown device": ((*BASE, "--device", "gpu"), "--device gpu is unknown"),
    "strength out of range": ((*BASE, "--strength", "1.6"), '--strength must be "auto" or between 0 and 1.5'),
    "negative window": ((*BASE, "--previous", "-1"), "cannot be negative"),
    "foreground alone": (
        ("--foreground", "{in}/mask", "-o", "out.mp4"),
        "--foreground and --background belong together",
    ),
    "all three": ((*BASE, "--foreground", "a", "--background", "b"), "not both"),
    "cube ending": ((*BASE, "--cube", "look.lut"), "must end in .cube"),
    "cube folder": ((*BASE, "--cube", "nowhere/look.cube"), "nowhere does not exist"),
}


@pytest.fixture
def trouble(clip, blank):
    """Everything that can be wrong with an input, beside the good clip."""
    disc = clips.disc(*SIZE)
    (clip / "text.mp4").write_text("this is no video, " * 40)
    (clip / "text.png").write_text("this is no picture")
    (clip / "empty.mp4").write_bytes(b"")
    clips.make_folder(clip / "short_mask", [disc] * 3)
    clips.make_folder(clip / "long_mask", [disc] * 7)
    clips.make_folder(clip / "small_mask", [clips.disc(48, 32)] * 5)
    clips.make_folder(clip / "black_mask", [blank] * 5)
    clips.make_video(clip / "mask50.mp4", [np.dstack([disc] * 3)] * 5, rate=50)
    whole = clips.make_video(clip / "whole.mkv", 7, SIZE, codec="ffv1").read_bytes()
    (clip / "cut.mkv").write_bytes(whole[: len(whole) * 3 // 5])
    (clip / "whole.mkv").unlink()
    return clip


@pytest.mark.parametrize("name", ERRORS)
def test_bad_input_ends_in_one_sentence(run, trouble, tmp_path, name):
    arguments, sentence = ERRORS[name]
    before = listing(tmp_path)
    code, out, err = run("harmonize", *(a.replace("{in}", str(trouble)) for a in arguments))
    lines = [line for line in err.splitlines() if "running on" not in line]
    assert code == 2 and out == ""
    assert len(lines) == 1 and lines[0].startswith("co2net: ") and "Traceback" not in err
    assert re.search(sentence, lines[0]), lines[0]
    assert listing(tmp_path) == before, "nothing may be left behind"


def test_cuda_where_there_is_none(run, clip, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    arguments = ("harmonize", clip / "composite.mp4", "--mask", clip / "mask", "-o", "out.mp4")
    code, _, err = run(*arguments, "--device", "cuda")
    assert code == 2 and err.count("\n") == 1 and "--device cpu" in err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(run, clip, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    code, _, err = run("harmonize", clip / "composite.mp4", "--mask", clip / "mask", "-o", locked / "out.mp4")
    assert code == 2 and "no permission" in err


@pytest.mark.parametrize("option", ["--strength=much", "--mask-fit=stretch", "--frobnicate"])
def test_options_that_argparse_refuses(run, clip, option):
    code, _, err = run("harmonize", clip / "composite.mp4", "--mask", clip / "mask", option)
    assert code == 2 and "error: " in err and "Traceback" not in err


# Full disks, signals, terminals.


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "frames", "out.png"])
def test_a_full_disk(run, clip, tmp_path, name):
    # No file of this process may grow beyond 4 KiB for a moment: writing fails where it would on a full disk.
    import resource

    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    source = clips.make_folder(clip / "noise", [noise] * (1 if name == "out.png" else 5))
    source = source / "001.png" if name == "out.png" else source
    before = listing(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        code, out, err = run("harmonize", source, "--mask", clip / "mask" / "001.png", "-o", name, "-q")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 2 and out == ""
    assert re.fullmatch(rf"co2net: {name}.*no space left to write it.*\n", err), err
    assert listing(tmp_path) == before


def _heed_interrupts():
    """A shell that runs the tests in the background has them, and all they start, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_an_interruption_half_way(clip, tmp_path, one_thread, number, code):
    long = clips.make_video(clip / "long.mp4", [clips.picture(*SIZE)] * 1500)
    before = listing(tmp_path)
    arguments = [long, "--mask", clip / "mask" / "001.png", "-o", tmp_path / "out.mp4"]
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        text=True,
        stderr=subprocess.PIPE,
        env=one_thread,
        preexec_fn=_heed_interrupts,
    )
    for _ in range(900):
        if process.poll() is not None or any(".partial" in path.name for path in tmp_path.iterdir()):
            break
        time.sleep(0.1)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert "interrupted; nothing half-written is left" in err and "Traceback" not in err
    assert listing(tmp_path) == before


@pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")
def test_the_progress_bar_is_for_terminals(clip, tmp_path, run, one_thread):
    import fcntl
    import pty
    import termios

    arguments = [clip / "composite.mp4", "--mask", clip / "mask", "-o", tmp_path / "out.mp4"]
    assert "frame/s" not in run("harmonize", *arguments)[2], "no terminal: no bar"
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    command = [*COMMAND, *map(str, arguments)]
    process = subprocess.Popen(command, stderr=theirs, stdout=subprocess.PIPE, env=one_thread)
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # how Linux says that the other side has closed
            break
        if not piece:
            break
        seen += piece
    assert process.wait(timeout=60) == 0
    assert b"harmonize:" in seen and b"frame/s" in seen


def test_a_folder_of_unrelated_pictures(tmp_path, capsys):
    for name in ("in", "masks"):
        (tmp_path / name).mkdir()
    random = np.random.default_rng(0)
    for number, size in enumerate([(40, 60), (52, 44)]):
        cv2.imwrite(str(tmp_path / f"in/p{number}.png"), random.integers(0, 256, (*size, 3), dtype=np.uint8))
        mask = np.zeros(size, np.uint8)
        mask[10:30, 10:30] = 255
        cv2.imwrite(str(tmp_path / f"masks/p{number}.png"), mask)
    words = ["harmonize", str(tmp_path / "in"), "--images", "--mask", str(tmp_path / "masks"), "--device", "cpu"]
    assert main([*words, "-o", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["p0.png", "p1.png"]
    assert "2 pictures harmonized" in capsys.readouterr().err
    (tmp_path / "masks/p1.png").unlink()
    assert main([*words, "-o", str(tmp_path / "out2")]) == 2
    assert "1 pictures left out" in capsys.readouterr().err
