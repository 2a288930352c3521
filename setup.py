"""The optional C++ build and the data from outside the packages; everything else is in pyproject.toml.

The kernels are shared libraries with a C interface that :mod:`trilinear._native` loads, not Python modules: they
include neither Python nor PyTorch, so one wheel serves every version of both. Without a compiler the installation
goes on.
"""

from __future__ import annotations

import os
import runpy
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
BUILD = runpy.run_path(str(ROOT / "trilinear" / "_build.py"))
MSVC = os.name == "nt"
# Files that lie beside the packages in the repository and inside co2net where it is installed.
DATA = [
    "final_models/*.safetensors",
    "final_models/*.md",
    "sample_data/composite.mp4",
    "sample_data/mask.mp4",
    "sample_data/real.mp4",
    "sample_data/*_list.txt",
    "sample_data/real_videos/*/*.jpg",
    "sample_data/foreground_mask/*/*/*.png",
    "sample_data/synthetic_composite_videos/*/*/*.jpg",
]


class BuildPackages(build_py):
    """Puts the weights and the sample data into co2net; an editable install leaves them where they are."""

    def build_package_data(self) -> None:
        """Copy what there is: a checkout may hold no weights."""
        super().build_package_data()
        for pattern in DATA:
            for source in sorted(ROOT.glob(pattern)):
                name = source.relative_to(ROOT)
                target = Path(self.build_lib) / "co2net" / name
                self.mkpath(str(target.parent))
                self.copy_file(name.as_posix(), str(target))


class BuildKernels(build_ext):
    """Builds plain shared libraries."""

    def get_ext_filename(self, fullname: str) -> str:
        """Leave the Python version out of the file name."""
        return str(Path(*fullname.split("."))) + (".pyd" if MSVC else ".so")

    def get_export_symbols(self, ext: Extension) -> list[str]:
        """Do not ask the linker for a Python module's entry point."""
        return ext.export_symbols


class Wheel(bdist_wheel):
    """Tags the wheel for the platform but for any Python 3."""

    def get_tag(self) -> tuple[str, str, str]:
        """Replace the interpreter and ABI tags."""
        return "py3", "none", super().get_tag()[2]


setup(
    # Naming the root makes an editable install a plain path entry. The alternative, an import hook, comes after the
    # path in the search, where folders like tests/trilinear would be found first.
    package_dir={"": "."},
    packages=find_packages(include=["co2net", "co2net.*", "trilinear", "tridistribute"]),
    package_data={
        "co2net": ["py.typed"],
        "co2net.app.page": ["*.css", "*.js"],
        "co2net.colorization": ["guess.safetensors"],
        "co2net.evaluation.report": ["templates/*"],
        "trilinear": ["csrc/*", "py.typed"],
        "tridistribute": ["csrc/*", "py.typed"],
    },
    ext_modules=[
        Extension(
            f"{package}._kernel",
            [source.relative_to(ROOT).as_posix()],
            include_dirs=[BUILD["HEADERS"].relative_to(ROOT).as_posix()],
            depends=[header.relative_to(ROOT).as_posix() for header in BUILD["HEADERS"].glob("*.h")],
            define_macros=[("CO2NET_BUILD_ID", BUILD["build_id"](package))],
            extra_compile_args=BUILD["MSVC_FLAGS"] if MSVC else BUILD["UNIX_FLAGS"],
            extra_link_args=[] if MSVC else ["-pthread"],
            language="c++",
            optional=True,
        )
        for package, source in BUILD["SOURCES"].items()
    ],
    cmdclass={"build_ext": BuildKernels, "build_py": BuildPackages, "bdist_wheel": Wheel},
)
