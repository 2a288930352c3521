"""``co2net evaluate-flow``: the temporal loss of stored results, with the flags that HYouTube users know."""

from __future__ import annotations

import argparse
from pathlib import Path

from co2net.cli.evaluate import add_flow_options, flow_from
from co2net.cli.options import add_device, add_quiet

DESCRIPTION = """\
Measure the temporal loss (TL) of stored results: how far the result of a frame, moved along the motion between the
real frames, is from the result of the next frame. Published values need --flow flownet2 with its authors' weights;
without --flow a classical flow runs anywhere, and its values compare only with each other. `co2net evaluate --temporal`
measures clips without storing anything.
"""
EXAMPLES = """\
examples:
  co2net evaluate-flow --dataset_path HYouTube --dataset_path_next HYouTube_next \\
    --cur_result npy/current --next_result npy/next --flow flownet2 --flow_weights FlowNet2_checkpoint.pth.tar
  co2net evaluate-flow --dataset_path HYouTube --dataset_path_next HYouTube_next \\
    --cur_result npy/backbone --next_result npy/backbone_next --method backbone --output runs/published
  co2net evaluate-flow --dataset_path clips --cur_result npy --task_list pairs.txt --step 5
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "evaluate-flow",
        help="measure the temporal loss of stored results",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    known = p.add_argument_group("flags of the original")
    for flag, dest, needed, says in (
        ("--dataset_path", "root", True, "data set of the frames t"),
        ("--dataset_path_next", "next_root", False, "data set of the next frames; default: the same"),
        ("--cur_result", "current", True, "stored results of the frames t"),
        ("--next_result", "following", False, "stored results of the next frames; default: the same"),
    ):
        known.add_argument(flag, dest=dest, required=needed, metavar="FOLDER", help=says)
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
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Measure and print the table."""
    from co2net.cli.progress import FrameBar
    from co2net.data.datasets import find_list
    from co2net.devices import choose_device
    from co2net.evaluation.report.text import temporal_text
    from co2net.evaluation.run import run_stored
    from co2net.evaluation.temporal.stored import StoredResults, listed_pairs

    root, current = Path(options.root), Path(options.current)
    next_root = Path(options.next_root or root)
    task_list = find_list(options.task_list, root)
    future_list = find_list(options.future_list, next_root) if options.future_list else None
    pairs = listed_pairs(task_list, root, next_root, options.step, future_list)
    stored = StoredResults(options.method, current, Path(options.following or current))
    with FrameBar(quiet=options.quiet, title="temporal loss") as bar:
        block, written = run_stored(
            pairs,
            stored,
            flow_from(options),
            choose_device(options.device),
            output=Path(options.output) if options.output else None,
            overwrite=options.overwrite,
            on_progress=bar.update,
            on_note=bar.say,
        )
    print(temporal_text(block))
    if written:
        print("\nlook at:", *(f"  {path}" for path in written), sep="\n")
