"""What an installation brings: kernels, their sources, data; and that building needs neither weights nor a compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from video import clips

from co2net.models.registry import create_backbone
from co2net.weight_files import save_weights

ROOT = Path(__file__).parents[1]
READ_BY_BUILD = ("MANIFEST.in", "setup.py", "pyproject.toml", "README.md", "LICENSE")
PACKAGES = ("co2net", "trilinear", "tridistribute")
CLIP = ("composite.mp4", "mask.mp4", "real.mp4")
DATA_SET = ("*_list.txt", "real_videos/*/*.jpg", "foreground_mask/*/*/*.png", "synthetic_composite_videos/*/*/*.jpg")
FACTS = {"format": "co2net", "backbone": "issam", "refinement": "false", "training_size": "32", "mapping": "paper"}


@pytest.fixture
def checkout(tmp_path):
    """The parts of the repository that a build reads, without what earlier builds left, and a release."""
    pytest.importorskip("setuptools", minversion="77")
    copy = tmp_path / "checkout"
    for package in PACKAGES:
        built = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd", "*.dylib")
        shutil.copytree(ROOT / package, copy / package, ignore=built)
    for name in READ_BY_BUILD:
        shutil.copy(ROOT / name, copy)
    (copy / "tests").mkdir()
    shutil.copy(__file__, copy / "tests")
    (copy / "sample_data").mkdir()
    for name in CLIP:
        shutil.copy(ROOT / "sample_data" / name, copy / "sample_data")
    for path in data_set():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, copy / path)
    (copy / "final_models").mkdir()
    torch.manual_seed(3)
    save_weights(copy / "final_models" / "issam.safetensors", create_backbone("issam").state_dict(), FACTS)
    (copy / "final_models" / "issam.md").write_text("# issam\n")
    return copy


def data_set():
    """Frames and lists of the sample data set, relative to the repository."""
    return [path.relative_to(ROOT) for pattern in DATA_SET for path in (ROOT / "sample_data").glob(pattern)]


@pytest.fixture
def no_compiler():
    """Environment of a machine without one: not found by any name, and failing where a name is fixed."""
    return os.environ | {"PATH": "/nowhere", "CC": "/nowhere/cc", "CXX": "/nowhere/c++"}


def build(kind, source, output, env=None):
    """Run the build backend as pip does; the path of what it made."""
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(output)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, env=env, check=True, capture_output=True)
    (made,) = output.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return made


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_source_distribution_makes_a_complete_wheel(checkout, no_compiler, tmp_path):
    shutil.unpack_archive(build("sdist", checkout, tmp_path), tmp_path)
    (source,) = (path for path in tmp_path.glob("co2net-*") if path.is_dir())
    assert not (source / "tests").exists()
    wheel = build("wheel", source, tmp_path, no_compiler)
    names = names_in(wheel)

    assert "-py3-none-" in wheel.name
    sources = {path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    sources |= {path for package in ("trilinear", "tridistribute") for path in (ROOT / package / "csrc").iterdir()}
    sources |= set((ROOT / "co2net" / "evaluation" / "report" / "templates").iterdir())
    sources |= {path for kind in ("*.css", "*.js") for path in (ROOT / "co2net" / "app" / "page").glob(kind)}
    assert {path.relative_to(ROOT).as_posix() for path in sources} <= names
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert {f"co2net/sample_data/{name}" for name in CLIP} <= names
    assert {f"co2net/{path.as_posix()}" for path in data_set()} <= names and len(data_set()) >= 180
    assert {"co2net/final_models/issam.safetensors", "co2net/final_models/issam.md"} <= names
    assert "co2net/colorization/guess.safetensors" in names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    assert not any("_kernel." in name for name in names)


def test_wheel_of_a_checkout_without_weights(checkout, no_compiler, tmp_path):
    shutil.rmtree(checkout / "final_models")
    names = names_in(build("wheel", checkout, tmp_path, no_compiler))
    assert not any("final_models" in name for name in names)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("c++"), reason="no C++ compiler on this machine")
def test_wheel_holds_compiled_kernels(checkout, tmp_path):
    kernels = {name.rpartition(".")[0] for name in names_in(build("wheel", checkout, tmp_path)) if "_kernel." in name}
    assert kernels == {"trilinear/_kernel", "tridistribute/_kernel"}


@pytest.mark.slow
def test_installed_command_warns_once_without_compiler(checkout, no_compiler, tmp_path):
    site, work = tmp_path / "site", tmp_path / "work"
    shutil.unpack_archive(build("wheel", checkout, tmp_path, no_compiler), site, "zip")
    work.mkdir()
    clips.make_video(work / "composite.mp4", 2, (96, 64))
    clips.make_folder(work / "mask", [clips.disc(96, 64)] * 2)
    environment = no_compiler | {"PYTHONPATH": str(site), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for ours in ("CO2NET_MODELS", "CO2NET_NATIVE"):
        environment.pop(ours, None)
    done = subprocess.run(
        [sys.executable, "-m", "co2net", "harmonize", "composite.mp4", "--mask", "mask", "-o", "frames/"],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(list((work / "frames").glob("*.png"))) == 2
    assert done.stderr.count("Warning") == 1, done.stderr
    assert "no C++ kernel for" in done.stderr
