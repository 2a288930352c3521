"""Lists of clips and frames: the recorded case, both folder layouts, and everything that can be wrong with a list."""

import subprocess
import sys
from pathlib import Path

import fixtures
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from co2net import data
from co2net.errors import InputError

HERE = Path(__file__).parents[2]
LISTED = ("real_videos", "foreground_mask", "synthetic_composite_videos")
DESCRIBED = ("Ground-truth", "Mask", "Composite")
CASE = fixtures.load("hyoutube_frame_list")[0]["settings"]


def touch(folder, numbers, ending):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number:05d}{ending}").touch()


def make(root, clips, names=LISTED):
    for clip in clips:
        touch(root / names[0] / clip["video"], clip["real_frames"], ".jpg")
        touch(root / names[1] / clip["video"] / clip["object"], clip["frames"], ".png")
        touch(root / names[2] / clip["video"] / clip["object"], clip["frames"], ".jpg")
    return root


CLIP = {"video": "0123456789", "object": "object_0", "real_frames": range(0, 150, 5), "frames": range(10, 110, 5)}
CLIP_LINE = "real_videos/0123456789 foreground_mask/0123456789/object_0 synthetic_composite_videos/0123456789/object_0"


def frame_text(number):
    real, mask, composite = CLIP_LINE.split()
    return f"{real}/{number:05d}.jpg {mask}/{number:05d}.png {composite}/{number:05d}.jpg"


@pytest.fixture
def root(tmp_path):
    return make(tmp_path / "set", [CLIP])


def listed(root, text):
    (root / "list.txt").write_bytes(text.encode())
    return root / "list.txt"


@pytest.mark.parametrize("names", [LISTED, DESCRIBED])
def test_recorded_case(tmp_path, names):
    root = make(tmp_path, CASE["clips"], names)
    with pytest.warns(UserWarning, match="2 clip\\(s\\) without 20 frames in steps of 5, first 003234408d/object_2"):
        entries = data.expand_clip_list(listed(root, CASE["clip_list"]), root)
    wanted = CASE["frame_list"]
    for ours, theirs in zip(LISTED, names, strict=True):
        wanted = [line.replace(ours, theirs) for line in wanted]
    assert [data.frame_line(entry, root) for entry in entries] == wanted
    assert [entry.result_name + ".npy" for entry in entries] == CASE["result_names"]
    assert all(path.is_file() for entry in entries for path in entry)

    (root / "frames.txt").write_text("\n".join(CASE["frame_list"]))
    assert data.read_frame_list(root / "frames.txt", root) == entries  # no warning: a list may pick any frames


def test_fields_and_other_frames(root):
    entry = data.read_frame_list(listed(root, frame_text(10)), root)[0]
    assert entry.real == root / "real_videos/0123456789/00010.jpg"
    assert entry.mask == root / "foreground_mask/0123456789/object_0/00010.png"
    assert entry.composite == root / "synthetic_composite_videos/0123456789/object_0/00010.jpg"
    assert (entry.number, entry.at(15).number, entry.at(15).mask.name) == (10, 15, "00015.png")
    assert list(data.numbered_files(entry.mask.parent)) == list(range(10, 110, 5))


@pytest.mark.parametrize(
    "text",
    [
        CLIP_LINE,
        CLIP_LINE + "\r\n",
        "\r\n\n  " + CLIP_LINE.replace(" ", " \t  ").replace("/", "\\") + "  \n\n",
        "\ufeff" + CLIP_LINE,
        CLIP_LINE.replace(" ", "/ ") + "/\n",
        "\n".join(frame_text(n) for n in range(10, 110, 5)),
        frame_text(10) + "\r\n" + "\r\n".join(frame_text(n).replace("/", "\\") for n in range(15, 110, 5)) + "\r\n",
    ],
)
def test_either_kind_of_line_and_any_line_ends(root, text):
    entries = data.read_frame_list(listed(root, text), str(root))
    assert [entry.number for entry in entries] == list(range(10, 110, 5))


def test_a_mixed_list_keeps_its_order(root):
    entries = data.read_frame_list(listed(root, f"{frame_text(50)}\n{CLIP_LINE}\n{frame_text(20)}\n"), root)
    assert [entry.number for entry in entries] == [50, *range(10, 110, 5), 20]


def test_the_folder_in_the_list_wins_if_both_exist(root):
    make(root, [CLIP], DESCRIBED)
    assert "real_videos" in data.read_frame_list(listed(root, frame_text(10)), root)[0].real.parts


def test_strangers_in_the_folders_are_ignored(root):
    for column in LISTED:
        for folder in [p for p in (root / column).rglob("*") if p.is_dir()]:
            for name in (".DS_Store", "Thumbs.db", "._00010.jpg", "notes.txt"):
                (folder / name).touch()
    assert len(data.expand_clip_list(listed(root, CLIP_LINE), root)) == 20


def test_pairing_is_by_number_not_by_position(root):
    mask = root / "foreground_mask/0123456789/object_0"
    (mask / "00010.png").rename(mask / "10.png")  # now last in name order
    entries = data.expand_clip_list(listed(root, CLIP_LINE), root)
    assert [int(entry.mask.stem) for entry in entries] == list(range(10, 110, 5))


def remove(path):
    return lambda root: (root / path).unlink()


MASK, COMPOSITE = "foreground_mask/0123456789/object_0", "synthetic_composite_videos/0123456789/object_0"


@pytest.mark.parametrize(
    ("text", "spoil", "message"),
    [
        ("", None, "list.txt: the list is empty"),
        ("a b\n", None, "line 1: expected three paths \\(real, mask, composite\\), got 2"),
        ("\n" + CLIP_LINE + " x\n", None, "line 2: expected three paths .*, got 4"),
        ("videos/a mask/a comp/a", None, "line 1: videos/a: the real folder is missing, .* has no videos$"),
        (CLIP_LINE, lambda root: (root / LISTED[1]).rename(root / "x"), "the mask folder is missing, .* nor Mask"),
        (CLIP_LINE.replace("object_0", "object_7"), None, "/object_7.: the mask .* does not exist; is the list"),
        (CLIP_LINE, remove(f"{MASK}/00050.png"), "clip 0123456789/object_0.: .*foreground_mask.* lacks frame 00050$"),
        (CLIP_LINE, remove(f"{COMPOSITE}/00050.jpg"), "synthetic_composite_videos.* lacks frame 00050$"),
        (CLIP_LINE, remove("real_videos/0123456789/00050.jpg"), "real_videos.* lacks frame 00050$"),
        (CLIP_LINE, lambda root: touch(root / MASK, [1, 2, 3, 4, 6], ".png"), "frame 00001, 00002, 00003 and 2 more$"),
        (CLIP_LINE, lambda root: touch(root / MASK, [10], ".jpg"), "two pictures of frame 10"),
        (CLIP_LINE, lambda root: (root / MASK / "cover.png").touch(), "cover.png has no frame number"),
        (frame_text(10).replace("00010.png", "00015.png"), None, "not the same frame: real 10, mask 15, composite 10"),
        (frame_text(10) + "\n" + frame_text(5), None, "line 2: the mask .*00005.png does not exist"),
        (frame_text(10).replace("00010", "x"), None, "x.jpg has no frame number"),
        ("\x00\x01\udcff".encode("utf-8", "surrogatepass").decode("latin-1"), None, "line 1: expected three paths"),
    ],
)  # fmt: skip
def test_bad_lists(root, text, spoil, message):
    path = listed(root, text)
    if spoil:
        spoil(root)
    with pytest.raises(InputError, match=message) as caught:
        data.read_frame_list(path, root)
    assert "list.txt" in str(caught.value) and "\n" not in str(caught.value)


def test_empty_clip(root):
    for folder in (MASK, COMPOSITE):
        for file in (root / folder).iterdir():
            file.unlink()
    with pytest.raises(InputError, match="no pictures in"):
        data.expand_clip_list(listed(root, CLIP_LINE), root)


def test_files_need_not_be_looked_for(root):
    (entry,) = data.read_frame_list(listed(root, frame_text(5)), root, check_files=False)
    assert entry.number == 5


def test_a_clip_list_must_hold_clips(root):
    with pytest.raises(InputError, match="line 1: a frame, but"):
        data.expand_clip_list(listed(root, frame_text(10)), root)


def test_missing_list_binary_list_missing_root(root):
    with pytest.raises(InputError, match=r"cannot read the list .*none\.txt: No such file"):
        data.read_frame_list(root / "none.txt", root)
    (root / "list.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match="not a text file"):
        data.read_frame_list(root / "list.txt", root)
    with pytest.raises(InputError, match=r"folder .*nowhere does not exist"):
        data.read_frame_list(listed(root, CLIP_LINE), root / "nowhere")


@pytest.mark.filterwarnings("ignore:.*without 20 frames")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from([*CLIP_LINE.split(), *frame_text(10).split(), "..", "/", "a", "\n", "\\", "\t"]), max_size=9
    )
)
def test_any_line_gives_frames_or_a_sentence(root, words):
    path = listed(root, " ".join(words))
    try:
        assert data.read_frame_list(path, root)
    except InputError as error:
        assert "list.txt" in str(error)


def run(*arguments, cwd):
    command = [sys.executable, str(HERE / "scripts" / "generate_frame_list.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


def test_the_command(root, tmp_path):
    listed(root, CLIP_LINE + "\r\n")
    arguments = ["--dataset_path", str(root), "--list_name", "list.txt", "--write_name", "frames.txt"]
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == "" and "20 frames" in done.stderr
    lines = (tmp_path / "frames.txt").read_bytes().decode().split("\n")
    assert lines == [*(frame_text(n) for n in range(10, 110, 5)), ""]

    (root / MASK / "00010.png").unlink()
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and "lacks frame 00010" in done.stderr and len(done.stderr.splitlines()) == 1
    assert len((tmp_path / "frames.txt").read_text().splitlines()) == 20  # the good one is still there

    for number in range(15, 110, 5):
        (root / MASK / f"{number:05d}.png").unlink()
    touch(root / MASK, [10], ".png")
    for number in range(15, 110, 5):
        (root / COMPOSITE / f"{number:05d}.jpg").unlink()
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr.startswith("warning: ") and "1 clip(s) without 20" in done.stderr


def test_the_command_help(tmp_path):
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0 and "Examples:" in done.stdout and "--write_name" in done.stdout
    assert run(cwd=tmp_path).returncode == 2


def test_the_command_checks_pictures(root, tmp_path):
    listed(root, CLIP_LINE)
    arguments = ["--dataset_path", str(root), "--list_name", "list.txt", "--write_name", "frames.txt"]
    done = run(*arguments, "--check_pictures", cwd=tmp_path)  # the files are empty
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and len(lines) == 61 and "00010.jpg: the file is empty" in lines[0]
    assert "60 problem(s)" in lines[-1] and not (tmp_path / "frames.txt").exists()

    sample = ["--dataset_path", str(HERE / "sample_data"), "--list_name", "test_list.txt", "--write_name", "frames.txt"]
    assert run(*sample, "--check_pictures", cwd=tmp_path).returncode == 0
    assert (tmp_path / "frames.txt").read_text() == (HERE / "test_frames.txt").read_text()
