"""``co2net demo``: the main job on the sample clip, with pictures and numbers."""

from __future__ import annotations

import argparse

from co2net.cli.options import add_device, add_quiet


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "demo",
        help="harmonize the sample clip; leaves video, before/after picture and report",
        description="Harmonize the sample clip with the weights that ship. Leaves the harmonized video, a before/after "
        "picture and a short report with numbers.",
    )
    p.add_argument("-o", "--output", default="demo_output", metavar="FOLDER", help="default: demo_output")
    p.add_argument("--matte", action="store_true", help="key a plate and carry a mask instead: cut-out, mask, numbers")
    add_device(p)
    add_quiet(p)
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the demo and name what it left."""
    from pathlib import Path

    from co2net.cli.progress import FrameBar
    from co2net.devices import choose_device
    from co2net.evaluation.demo import run_demo
    from co2net.matting.demo import run_matte_demo

    device, output = None if options.matte else choose_device(options.device), Path(options.output)
    with FrameBar(quiet=options.quiet, title="demo", device=device) as bar:
        demo = run_demo(output, device, bar.update) if device is not None else run_matte_demo(output, bar.update)
    if not options.quiet:
        print(demo.table())
        print("look at:", *(f"  {path}" for path in demo.files), sep="\n")
