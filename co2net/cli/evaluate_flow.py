"""``scripts/evaluate_flow.py``: the temporal loss of stored results, with the flags that HYouTube users know."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from co2net.cli.errors import exit_code
from co2net.cli.evaluate import add_flow_options, flow_from
from co2net.cli.options import OptionParser, add_device, add_quiet

DESCRIPTION = """\
Measure the temporal loss (TL) of stored results: how far the result of a frame, moved along the motion between the
real frames, is from the result of the next frame. Published values need --flow flownet2 with its authors' weights;
without --flow a classical flow runs anywhere, and its values compare only with each other. `co2net evaluate --temporal`
measures clips without storing anything.
"""
EXAMPLES = """\
examples:
  python scripts/evaluate_flow.py --dataset_path HYouTube --dataset_path_next HYouTube_next \\
    --cur_result npy/current --next_result npy/next --flow flownet2 --flow_weights FlowNet2_checkpoint.pth.tar
  python scripts/evaluate_flow.py --dataset_path HYouTube --dataset_path_next HYouTube_next \\
    --cur_result npy/backbone --next_result npy/backbone_next --method backbone --output runs/published
  python scripts/evaluate_flow.py --dataset_path clips --cur_result npy --task_list pairs.txt --step 5
"""


def parser() -> argparse.ArgumentParser:
    """Options of the script."""
    p = OptionParser(prog="evaluate_flow.py", description=DESCRIPTION, epilog=EXAMPLES)
    known = p.add_argument_group("flags of the original")
    known.add_argument("--dataset_path", required=True, metavar="FOLDER", help="data set of the frames t")
    known.add_argument("--dataset_path_next", metavar="FOLDER", help="data set of the next frames; default: the same")
    known.add_argument("--cur_result", required=True, metavar="FOLDER", help="stored results of the frames t")
    known.add_argument("--next_result", metavar="FOLDER", help="stored results of the next frames; default: the same")
    new = p.add_argument_group("new")
    add_flow_options(new)
    new.add_argument(
        "--task_list", default="tl_task.txt", metavar="FILE", help="the frames t to measure (default tl_task.txt)"
    )
    new.add_argument("--future_list", metavar="FILE", help="list of the next frames, to check the pairs against")
    new.add_argument("--step", type=int, default=1, metavar="N", help="the next frame's number is N more (default 1)")
    new.add_argument(
        "--method", default="final", metavar="NAME", help="what the results are: final (default), backbone, lut, ..."
    )
    add_device(new)
    new.add_argument(
        "--output", metavar="FOLDER", help="temporal.json, added to the report that is there; makes the run resumable"
    )
    new.add_argument("--overwrite", action="store_true", help="measure everything anew")
    add_quiet(new, "no progress bar, no notes; the table only")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; returns the exit code."""
    options = parser().parse_args(argv)
    return exit_code(lambda: _run(options), options.flags)


def _run(options: argparse.Namespace) -> None:
    from co2net.cli.progress import FrameBar
    from co2net.data.datasets import find_list
    from co2net.devices import choose_device
    from co2net.errors import InputError
    from co2net.evaluation.report.text import temporal_text
    from co2net.evaluation.temporal.stored import StoredResults, listed_pairs, measure_stored
    from co2net.evaluation.temporal_file import add_block

    if options.step < 1:
        raise InputError(f"--step must be at least 1, got {options.step}")
    if options.method in ("", "truth", "composite"):
        raise InputError(f"--method {options.method or '(nothing)'} cannot be the name of results; call them otherwise")
    root = Path(options.dataset_path)
    next_root = Path(options.dataset_path_next or root)
    flow, device = flow_from(options), choose_device(options.device)
    pairs = listed_pairs(
        find_list(options.task_list, root),
        root,
        next_root,
        options.step,
        find_list(options.future_list, next_root) if options.future_list else None,
    )
    current = Path(options.cur_result)
    results = StoredResults(options.method, current, Path(options.next_result or current))
    output = Path(options.output) if options.output else None
    with FrameBar(quiet=options.quiet, title="temporal loss") as bar:
        block = measure_stored(
            pairs,
            results,
            flow,
            device,
            output=output / "temporal" / f"{results.method}_{flow.name}" if output else None,
            overwrite=options.overwrite,
            on_progress=bar.update,
        )
    print(temporal_text(block))
    if output is not None:
        written = [add_block(output, block), *_report(output, options.quiet)]
        print("\nlook at:", *(f"  {path}" for path in written), sep="\n")


def _report(output: Path, quiet: bool) -> list[Path]:
    """Write the report anew if `output` holds an evaluation."""
    from importlib.util import find_spec

    from co2net.evaluation.report import write_report
    from co2net.evaluation.results import NAME

    if not (output / NAME).is_file():
        return []
    if find_spec("jinja2"):
        return write_report(output)
    if not quiet:
        print("co2net: note: no report without Jinja2; pip install 'co2net[report]'", file=sys.stderr)
    return []
