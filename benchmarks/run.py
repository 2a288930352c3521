"""Run every benchmark and rewrite docs/performance.md from the stored results.

Usage: python benchmarks/run.py [--only-page] [NAME ...]

Names: colorize, evaluation, flow, gpu, images, instructions (a section of its own on a processor with AVX-512), lut,
overhead, pipeline, server; default: all, gpu only where there is one, server only where the extra `app` is installed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from common import RESULTS
from tables import (
    colorize_tables,
    evaluation_tables,
    flow_tables,
    gpu_tables,
    images_tables,
    instructions_tables,
    lut_tables,
    overhead_tables,
    pipeline_tables,
    server_tables,
)

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
SECTIONS: dict[str, tuple[str, Callable[[Any, Any], str]]] = {
    "overhead": ("Against the codec alone", overhead_tables),
    "pipeline": ("Video in, video out", pipeline_tables),
    "evaluation": ("Evaluating a data set", evaluation_tables),
    "images": ("Single pictures", images_tables),
    "colorize": ("Coloring gray clips", colorize_tables),
    "flow": ("Optical flow", flow_tables),
    "lut": ("LUTs", lut_tables),
    "instructions": ("LUTs by instruction set", instructions_tables),
    "instructions_avx512": ("LUTs by instruction set, with AVX-512", instructions_tables),
    "server": ("The server", server_tables),
    "gpu": ("On a GPU", gpu_tables),
}
# Where there are no results: what a reader should know instead.
MISSING = {
    "overhead": "Not measured yet: `python benchmarks/bench_overhead.py` measures processor time and peak memory of "
    "the command beside the codec alone, also for composing and `--strength 0`, also on clips of your own.",
    "gpu": "Not measured yet. On a machine with an NVIDIA GPU `make gpu-check` tests the kernels, measures them and "
    "the whole job, and fills this section ([gpu.md](gpu.md)).",
}
HEAD = """\
# Performance

Made by `make bench` (`benchmarks/run.py`) from the files in `benchmarks/results/`; do not edit. Alternatives ran in
turns within one process; times are wall-clock medians where a table does not say CPU, the processor's own time. The
load is that of the machine before the run: above 0 it was shared, and ratios say more than milliseconds.
"""


def page() -> str:
    """The text of docs/performance.md."""
    parts = [HEAD]
    for name, (title, tables) in SECTIONS.items():
        path = RESULTS / f"{name}.json"
        if path.is_file():
            result = json.loads(path.read_text())
            text = tables(result["rows"], result["settings"])
            parts.append(f"## {title}\n\n{_conditions(result['conditions'])}\n\n{text}\n")
        elif name in MISSING:
            parts.append(f"## {title}\n\n{MISSING[name]}\n")
    return "\n".join(parts)


def _conditions(found: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    machine = f"{found['processor']}, {found['cores']} cores" + (f", {found['gpu']}" if found["gpu"] else "")
    return (
        f"`{found['command']}` at commit {found['commit']}; {machine}, {found['system']}, load {found['load']}; "
        f"Python {found['python']}, {versions}."
    )


def main() -> None:
    """Run and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scripts = {name: script for name in SECTIONS if (script := Path(__file__).with_name(f"bench_{name}.py")).is_file()}
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(scripts)}")
    parser.add_argument("--only-page", action="store_true", help="measure nothing, write the page again")
    options = parser.parse_args()
    if unknown := sorted({*options.names} - {*scripts}):
        parser.error(f"unknown: {', '.join(unknown)}; choose from {', '.join(scripts)}")
    here = {"gpu": torch.cuda.is_available(), "server": find_spec("httpx") and find_spec("fastapi")}
    everything = [name for name in scripts if here.get(name, True)]
    for name in () if options.only_page else options.names or everything:
        done = subprocess.run([sys.executable, str(scripts[name])])
        if done.returncode != 0:  # it has said why
            sys.exit(done.returncode)
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE.relative_to(PAGE.parents[1])}")


if __name__ == "__main__":
    main()
