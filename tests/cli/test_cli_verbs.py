"""The command itself: help, version, the list of models, the demo, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from video import clips

import co2net
from co2net.cli.errors import exit_code
from co2net.errors import InputError

SIZE = (96, 64)
HEAVY = ("torch", "numpy", "cv2", "av", "PIL", "safetensors", "tqdm", "gradio", "fastapi")


@pytest.mark.parametrize(
    "words",
    ["--help", "--version", "harmonize --help", "serve --help", "models -h"]
    + [f"train{stage} --help" for stage in ("", " backbone", " refinement")],
)
def test_help_and_version_are_instant(words):
    arguments = words.split()
    code = (
        "import sys\nfrom co2net.cli import main\n"
        f"try: main({arguments})\nexcept SystemExit as stop: assert stop.code == 0\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert len(arguments) < 3 or f"co2net {' '.join(arguments[:2])} " in done.stdout  # its own examples


def test_loading_torch_leaves_no_garbage_to_look_through():
    code = (
        "import gc, sys\nfrom co2net.cli.loading import load_torch\nload_torch()\n"
        "print('torch' in sys.modules, gc.isenabled(), gc.get_freeze_count() > 100_000)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True True\n"


def test_version(run):
    assert run("--version") == (0, f"co2net {co2net.__version__}\n", "")


def test_help_names_every_verb(run):
    code, out, _ = run("--help")
    assert code == 0 and all(verb in out for verb in ("harmonize", "demo", "models"))


def test_help_of_harmonize_names_every_option(run):
    code, out, _ = run("harmonize", "--help")
    options = ("--mask", "--foreground", "--background", "--output", "--cube", "--strength", "--weights", "--device")
    assert code == 0 and all(option in out for option in options)


def test_without_a_verb_it_shows_the_help(run):
    code, out, err = run()
    assert code == 2 and out == "" and "usage: co2net" in err


def test_unknown_verb(run):
    code, _, err = run("harmonise")
    assert code == 2 and "harmonise" in err and "harmonize" in err


def test_python_m_is_the_command():
    done = subprocess.run([sys.executable, "-m", "co2net", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"co2net {co2net.__version__}\n"


def test_models_lists_backbones_and_weights(run):
    code, out, err = run("models")
    assert code == 0 and err == ""
    assert f"backbones: {', '.join(co2net.list_backbones())}\n" in out
    assert "\nissam  (issam: backbone; " in out and "data: none, for tests" in out
    assert "32 px, the default)" in out


def test_models_prints_a_card(run):
    assert run("models", "issam") == (0, "# issam\n\nThe whole card.\n\n", "")


def test_models_with_an_unknown_name(run):
    assert run("models", "nothing") == (2, "", "co2net: no weights named nothing; there are: issam\n")


def test_models_where_none_ship(run, monkeypatch, tmp_path):
    monkeypatch.setenv("CO2NET_MODELS", str(tmp_path))
    code, out, _ = run("models")
    assert code == 0 and "weights: none ship" in out


def test_how_jobs_end(capsys):
    def fails(error):
        def job():
            raise error

        return job

    assert exit_code(lambda: None) == 0
    assert exit_code(fails(InputError("clip.mp4: is broken"))) == 2
    assert capsys.readouterr().err == "co2net: clip.mp4: is broken\n"
    assert exit_code(fails(KeyboardInterrupt())) == 130
    with pytest.raises(ZeroDivisionError):  # our fault: Python prints the traceback and ends with 1
        exit_code(lambda: 1 / 0)


def test_signals_are_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    exit_code(lambda: None)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture
def sample(tmp_path, monkeypatch):
    """A sample clip of 6 small frames in place of the one that ships."""
    folder = tmp_path / "sample"
    folder.mkdir()
    clips.make_video(folder / "composite.mp4", 6, SIZE)
    clips.make_video(folder / "real.mp4", [clips.picture(*SIZE, n)[..., ::-1].copy() for n in range(6)])
    disc = clips.disc(*SIZE)
    clips.make_video(folder / "mask.mp4", [disc[..., None].repeat(3, axis=2)] * 6)
    monkeypatch.setattr("co2net.evaluation.demo.sample_clip", lambda: folder)
    return folder


def test_demo(run, sample, tmp_path):
    pytest.importorskip("skimage")
    code, out, err = run("demo", "-o", "shown")
    assert code == 0 and "running on" in err
    names = ["before_after.png", "harmonized.mp4", "look.cube", "report.json", "report.md"]
    assert sorted(path.name for path in (tmp_path / "shown").iterdir()) == names
    assert all(name in out for name in names)
    for method in ("composite", "co2net", "Reinhard", "histogram matching"):
        assert f"| {method}" in out


def test_demo_again_replaces_its_results_quietly(run, sample):
    pytest.importorskip("skimage")
    assert run("demo", "-o", "shown", "-q") == (0, "", "")
    assert run("demo", "-o", "shown", "-q") == (0, "", "")


def test_demo_where_no_folder_can_be_made(run, sample, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run("demo", "-o", "file/shown", "-q")
    assert code == 2 and err.startswith("co2net: cannot make the folder file/shown") and err.count("\n") == 1


def test_demo_without_the_sample_clip(run, monkeypatch, tmp_path):
    monkeypatch.setattr("co2net.data.sample_data._PACKAGE", tmp_path / "somewhere")
    code, _, err = run("demo", "-q")
    assert code == 2 and "the sample data is missing" in err


@pytest.mark.slow
def test_demo_on_the_clip_that_ships(run, tmp_path):
    pytest.importorskip("skimage")
    code, out, _ = run("demo", "-o", "shown")
    assert code == 0 and (tmp_path / "shown" / "harmonized.mp4").is_file() and "co2net" in out
