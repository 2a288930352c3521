"""Files and folders appear whole or not at all, survive a kill, and what killed runs left is cleared away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from co2net.errors import InputError, OutputError
from co2net.files import (
    clear_abandoned,
    only_one,
    partial_path,
    place_file,
    put_in_place,
    read_json,
    whole_folder,
    write_beside,
    write_json,
)


def dead_process():
    """The number of a process that lives no more."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_beside(path, "one\n")
    write_beside(path, b"two")
    assert path.read_bytes() == b"two" and os.listdir(tmp_path) == ["a.txt"]

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*a\.txt: No space left on device"):
        write_beside(path, "three")
    assert path.read_bytes() == b"two" and os.listdir(tmp_path) == ["a.txt"]


def test_what_is_written_is_flushed_before_and_after_the_renaming(tmp_path, monkeypatch):
    done, real_fsync, real_replace = [], os.fsync, os.replace
    monkeypatch.setattr("os.fsync", lambda number: done.append("flush") or real_fsync(number))
    monkeypatch.setattr("os.replace", lambda a, b: done.append("rename") or real_replace(a, b))
    write_beside(tmp_path / "a", b"x")
    assert done == ["flush", "rename", "flush"]


def test_a_link_is_followed_and_a_circle_refused(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").write_text("old")
    (tmp_path / "link").symlink_to("there/file")
    write_beside(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "there/file").read_text() == "new"
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OutputError, match=r"cannot write .*a: "):
        write_beside(tmp_path / "a", "x")


@pytest.mark.parametrize("name", ["x" * 251 + ".mp4", "ä" * 127, "." + "y" * 254])
def test_the_longest_names_can_be_written(tmp_path, name):
    write_beside(tmp_path / name, "x")
    assert os.listdir(tmp_path) == [name]


def test_a_folder_appears_whole(tmp_path):
    folder = tmp_path / "clip"
    with whole_folder(folder) as part:
        (part / "1").write_text("one")
        assert not folder.exists() and part.name.startswith(".")
    with pytest.raises(ZeroDivisionError), whole_folder(folder) as part:
        (part / "2").write_text("two")
        1 / 0  # noqa: B018
    assert os.listdir(folder) == ["1"] and os.listdir(tmp_path) == ["clip"]
    with whole_folder(folder) as part:
        (part / "3").write_text("three")
    assert os.listdir(folder) == ["3"] and os.listdir(tmp_path) == ["clip"]


def test_what_killed_runs_left_is_cleared_and_nothing_else(tmp_path):
    output, dead = tmp_path / "out.mp4", dead_process()
    mine = partial_path(output)
    left = [tmp_path / f".out.partial-{dead}.mp4", tmp_path / f".out.partial-{dead}.old"]
    names = (f".out2.partial-{dead}.mp4", f".out.partial-{dead}.mkv", ".out.partial-x.mp4")
    others = [tmp_path / name for name in names]
    for path in (mine, *others, left[0]):
        path.write_text("x")
    left[1].mkdir()
    clear_abandoned(output)
    assert sorted(tmp_path.iterdir()) == sorted([mine, *others])
    put_in_place(mine, output)
    assert output.read_text() == "x"


def test_a_picture_of_another_content_is_never_replaced(tmp_path):
    (tmp_path / "source").write_text("a")
    place_file(tmp_path / "source", tmp_path / "target")
    place_file(tmp_path / "source", tmp_path / "target")
    place_file(b"a", tmp_path / "target")
    assert (tmp_path / "target").samefile(tmp_path / "source")
    with pytest.raises(InputError, match="target is already there and another picture"):
        place_file(b"b", tmp_path / "target")


def test_json_of_anybody_ends_in_a_sentence(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, None]})
    assert read_json(path, "delete it") == {"a": [1, None]}
    for content in (b"", b"\xff\xfe", b"[" * 100_000, b'{"a"', b"1" * 5000):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.json cannot be read \(.*\); delete it") as caught:
            read_json(path, "delete it")
        assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, float("nan"))


def test_two_processes_do_not_work_in_one_folder(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from co2net.errors import InputError\nfrom co2net.files import only_one\n"
        "try:\n    with only_one(Path(sys.argv[1]), 'a job'): print('in')\nexcept InputError as error: print(error)"
    )

    def other():
        run = [sys.executable, "-c", code, str(tmp_path)]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()

    with only_one(tmp_path, "a job"):
        assert other() == f"{tmp_path}: a job is at work there in another process; wait for its end"
    assert other() == "in"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system has no /proc")
def test_a_process_that_ended_unnoticed_owns_nothing(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    left = tmp_path / f".out.partial-{child.pid}.png"
    left.touch()
    clear_abandoned(tmp_path / "out.png")
    child.wait()
    assert not left.exists()
