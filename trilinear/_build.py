"""How the C++ kernels are compiled, in one place for ``setup.py`` and for the build at first use.

Imports the standard library only: ``setup.py`` runs this file where PyTorch may be absent.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADERS = ROOT / "trilinear" / "csrc"
SOURCES = {
    "trilinear": ROOT / "trilinear" / "csrc" / "apply_lut.cpp",
    "tridistribute": ROOT / "tridistribute" / "csrc" / "accumulate.cpp",
}

# No fast-math and no -march=native: results are the same on every machine, instruction sets are chosen when it runs.
# Unlike fast-math, the two -fno flags change no result; they let the compiler turn branches into lanes.
UNIX_FLAGS = [
    "-std=c++17", "-O3", "-fPIC", "-pthread", "-ffp-contract=off", "-fno-trapping-math", "-fno-math-errno",
    "-fvisibility=hidden", "-Wno-psabi", "-g0",
]  # fmt: skip
MSVC_FLAGS = ["/std:c++17", "/O2", "/EHsc", "/fp:precise"]


def build_id(package: str) -> str:
    """Return a name for the sources and flags of a package's kernel; a library built from others is stale."""
    digest = hashlib.sha256(repr((UNIX_FLAGS, MSVC_FLAGS)).encode())
    for path in (SOURCES[package], *sorted(HEADERS.glob("*.h"))):
        digest.update(path.read_bytes())
    return "k" + digest.hexdigest()[:16]


def cached_path(package: str) -> Path:
    """Return where the build at first use keeps its library."""
    name = f"{package}-{platform.system()}-{platform.machine()}-{build_id(package)}.so"
    return cache_folder() / "kernels" / name.lower()


def cache_folder() -> Path:
    """Return the user's cache of this project: ``CO2NET_CACHE``, else ``co2net`` where the system keeps caches."""
    if chosen := os.environ.get("CO2NET_CACHE"):
        return Path(chosen)
    usual = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_CACHE_HOME")
    return Path(usual or Path.home() / ".cache") / "co2net"


def find_compiler() -> str | None:
    """Return the compiler for the build at first use; none on Windows, where only an installation compiles."""
    names = () if os.name == "nt" else (os.environ.get("CXX") or "c++", "g++", "clang++")
    return next(filter(None, map(shutil.which, names)), None)


def compile_kernel(package: str, output: Path) -> None:
    """Compile a package's kernel to `output`, in a second or two; written beside its place, then renamed.

    Raises:
        RuntimeError: there is no compiler, or it failed; says which command and what it printed.
        OSError: the folder of `output` cannot be written.
    """
    compiler = find_compiler()
    if compiler is None:
        raise RuntimeError("no C++ compiler found (c++, g++, clang++, or the variable CXX)")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        built = Path(folder) / output.name
        options = [*UNIX_FLAGS, f"-DCO2NET_BUILD_ID={build_id(package)}", f"-I{HEADERS}", "-shared"]
        command = [compiler, *options, str(SOURCES[package]), "-o", str(built)]
        done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - a fixed command
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr.strip()[-2000:]}")
        note = Path(folder) / "sum"
        note.write_text(_digest(built))
        note.replace(_sum_path(output))
        built.replace(output)


def intact(output: Path) -> bool:
    """Say whether a library in the cache is what was compiled: loading a truncated one ends the process."""
    try:
        return _sum_path(output).read_text() == _digest(output)
    except OSError:
        return False


def _sum_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.sha256")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
