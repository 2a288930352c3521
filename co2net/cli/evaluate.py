"""``co2net evaluate``: score a model on a data set, the way the published numbers were made."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from co2net.cli.options import add_device, add_place, add_quiet, picked, words, workers_on

if TYPE_CHECKING:
    from co2net.evaluation.run import Evaluation
    from co2net.evaluation.temporal.pairs import FlowChoice

EXAMPLES = """\
examples:
  co2net evaluate --sample                                    # the shipped weights on the sample data set
  co2net evaluate HYouTube --list test_frames.txt --weights issam_final.pth -o runs/published
  co2net evaluate HYouTube --limit-clips 5 --lut-only         # the color mapping alone, first five clips
  co2net evaluate --sample --methods composite,final,reinhard # classical color transfer beside the model
  co2net evaluate --sample --temporal                         # flicker too; motion by a flow that needs no weights
  co2net evaluate clips/ --step 1 --temporal --flow flownet2 --flow-weights FlowNet2_checkpoint.pth.tar
  co2net evaluate HYouTube --list all_frames.txt --no-metrics --lut-output lut/ --lut-map map/ -o runs/lut
  torchrun --nproc-per-node 4 -m co2net evaluate HYouTube -o runs/four     # clips shared among four processes

DATASET is a folder with real_videos/, foreground_mask/ and synthetic_composite_videos/ (HYouTube's layout); for
--task colorization also a folder of colored clips (<clip>/<number>.jpg) or of pictures. An
interrupted evaluation goes on where it was when the same command is given again.
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "evaluate",
        help="score a model on a data set of composite and real clips",
        description="Score a model on a data set of composite and real clips, the way the published numbers were made, "
        "beside the standard metrics. Leaves results.json, a report and pictures.",
        epilog=EXAMPLES,
    )
    p.add_argument("dataset", nargs="?", metavar="DATASET", help="folder of the data set")
    p.add_argument("--sample", action="store_true", help="the sample data set that comes with co2net")
    p.add_argument("--list", metavar="FILE", help="frames or clips to evaluate; default: the data set's own test list")
    p.add_argument("--limit-clips", type=int, metavar="N", help="only the first N clips")
    p.add_argument("--task", default="harmonization", help="harmonization (default), matting or colorization")
    p.add_argument(
        "--methods",
        metavar="NAMES",
        help="what to score, joined by commas: composite, backbone, lut, final, reinhard, histogram; default: what the "
        "model gives, or every method of the task",
    )
    p.add_argument(
        "--points",
        metavar="NUMBERS",
        help="colorization: points on the first frame, as 40, 0-40 or 0,10,40; one row each",
    )
    p.add_argument(
        "--segmenter",
        metavar="FILE",
        help="colorization: measure mIoU of this network (.onnx, .pt2, TorchScript) on the colored frames",
    )
    p.add_argument(
        "--annotations", metavar="FOLDER", help="true masks for it, <clip>/<frame>.png; default: the data set's masks"
    )
    p.add_argument("--method-weights", metavar="FILE", help="weights of a method that is not the model's")
    what = p.add_argument_group("model")
    what.add_argument("--weights", default="default", help="weight file, or a name from `co2net models`")
    what.add_argument("--backbone", help="network of the weight file, where the file does not say")
    what.add_argument("--lut-only", action="store_true", help="the color mapping alone, without refinement")
    what.add_argument(
        "--paper-lut-only", action="store_true", help="without refinement: blend by the mask twice, as published"
    )
    what.add_argument("--previous", type=int, default=8, metavar="N", help="neighbor frames before each (default 8)")
    what.add_argument("--future", type=int, default=8, metavar="N", help="neighbor frames after each (default 8)")
    what.add_argument("--step", type=int, default=5, metavar="N", help="distance of frame numbers (default 5)")
    add_common_options(what)
    add_temporal_options(p)
    spread = p.add_argument_group("several processes (`torchrun` is another way)")
    spread.add_argument(
        "--processes", type=int, metavar="N", help="that share the clips; 0: one per core (default 1, on Ray 0)"
    )
    add_place(spread)
    result = p.add_argument_group("output")
    result.add_argument(
        "-o", "--output", default="runs/evaluation", metavar="FOLDER", help="results (default runs/evaluation)"
    )
    result.add_argument("--lut-output", metavar="FOLDER", help="store the color mapping's frames as .npy")
    result.add_argument("--lut-map", metavar="FOLDER", help="store the maps of unseen colors as .npy")
    result.add_argument("--store-result", metavar="FOLDER", help="store final frames as .npy")
    result.add_argument("--store-backbone", metavar="FOLDER", help="store the backbone's frames as .npy")
    add_output_options(result)
    add_quiet(p, "no progress bar; the table only")
    p.set_defaults(run=run)


def add_common_options(group: argparse._ArgumentGroup) -> None:
    """Options that the verb and ``scripts/evaluate_model.py`` share."""
    group.add_argument(
        "--mapping", choices=("paper", "smooth"), help="the LUT's form; default: what the weights ask for"
    )
    group.add_argument(
        "--unseen-rule",
        choices=("zero_weight", "all_empty"),
        default="zero_weight",
        help="which colors fall back to the backbone; all_empty is the published rule, which can leave black dots",
    )
    group.add_argument(
        "--size", default="256", help="height and width of every frame, or `own` (default 256, as published)"
    )
    group.add_argument(
        "--precision", choices=("fp32", "tf32", "bf16", "fp16"), default="fp32", help="of the networks (default fp32)"
    )
    add_device(group)
    group.add_argument("--batch-size", type=int, metavar="N", help="frames per pass (default 16; 1 on a CPU)")
    group.add_argument("--workers", type=int, metavar="N", help="decoding threads (default: one per core, at most 8)")


def add_temporal_options(p: argparse.ArgumentParser) -> None:
    """Options of measuring over time, shared by verb and script."""
    group = p.add_argument_group("over time")
    group.add_argument(
        "--temporal", action="store_true", help="measure flicker too, between listed frames that are --step apart"
    )
    add_flow_options(group)


def add_flow_options(group: argparse._ArgumentGroup) -> None:
    """Which flow finds the motion; read by :func:`flow_from`."""
    group.add_argument(
        "--flow", metavar="NAME", help="what finds the motion: dis (default, needs no weights), raft, flownet2, pwcnet"
    )
    group.add_argument("--flow-weights", metavar="FILE", help="weights of that flow, from its authors")


def flow_from(options: argparse.Namespace) -> FlowChoice:
    """The flow that the options choose."""
    from co2net.evaluation.temporal.pairs import FlowChoice

    return FlowChoice(options.flow or "dis", Path(options.flow_weights) if options.flow_weights else None)


def add_output_options(group: argparse._ArgumentGroup) -> None:
    """Output options that the verb and the script share."""
    group.add_argument("--overwrite", action="store_true", help="compute everything anew, even finished clips")
    group.add_argument("--no-metrics", action="store_true", help="store results only; real frames are not read")
    group.add_argument("--no-pictures", action="store_true", help="no pictures of worst and best frames")


def run(options: argparse.Namespace) -> None:
    """Evaluate and print the table."""
    from co2net.errors import InputError
    from co2net.evaluation.run import evaluate

    if options.task != "harmonization" and find_spec(f"co2net.{options.task}.methods"):
        import_module(f"co2net.{options.task}.methods")  # a guest tells what it can do
    if options.sample == (options.dataset is not None):
        raise InputError("give the folder of a data set, or --sample (one of them)")
    methods = words(options.methods) or None
    if options.points is not None:
        if options.task != "colorization":
            raise InputError("--points belongs to --task colorization")
        from co2net.colorization.methods import sweep

        methods = [*(methods or ["gray"]), *sweep(options.points)]
    settings = settings_from(options, options.lut_output, options.lut_map, options.store_result, options.store_backbone)

    def job(**how: Any) -> Evaluation | None:
        return evaluate(
            "sample" if options.sample else options.dataset,
            options.list,
            methods=methods,
            **picked(options, "weights backbone lut_only paper_lut_only mapping unseen_rule task method_weights on"),
            processes=workers_on(options.processes, options.on),
            segmenter=Path(options.segmenter) if options.segmenter else None,
            annotations=Path(options.annotations) if options.annotations else None,
            **settings,
            **how,
        )

    evaluate_and_print(options, job)


def settings_from(
    options: argparse.Namespace,
    lut_output: str | None,
    lut_map: str | None,
    result: str | None,
    backbone: str | None,
) -> dict[str, Any]:
    """The settings that verb and script share, with the folders for stored results.

    Raises:
        InputError: an option is out of range.
    """
    from co2net.errors import InputError

    if options.size != "own" and not options.size.isdecimal():
        raise InputError(f"--size {options.size}: wanted a number of pixels, or own")
    if not options.temporal and (options.flow or options.flow_weights):
        raise InputError("--flow and --flow-weights serve measuring over time; add --temporal, or leave them out")
    folders = {
        "lut_output": lut_output, "lut_map": lut_map, "store_result": result, "store_backbone": backbone
    }  # fmt: skip
    return {
        "size": None if options.size == "own" else int(options.size),
        **picked(options, "previous future step precision batch_size workers"),
        "metrics": not options.no_metrics,
        "pictures": not options.no_pictures,
        "flow": flow_from(options) if options.temporal else None,
        **{kind: Path(folder) if folder else None for kind, folder in folders.items()},
    }


def evaluate_and_print(options: argparse.Namespace, job: Callable[..., Evaluation | None]) -> None:
    """Run an evaluation, print the table and what was written; shared by verb and script.

    Args:
        options: ``device``, ``output`` (None: nothing is written), ``overwrite``, ``limit_clips`` and ``quiet`` of
            the command; all of them are written to the results.
        job: takes the keywords of :func:`co2net.evaluation.run.run_evaluation` that say how.

    Raises:
        InputError: something the user gave cannot be used.
    """
    from co2net.cli.progress import FrameBar
    from co2net.devices import choose_device
    from co2net.evaluation.report.text import summary_text

    device = choose_device(options.device)
    with FrameBar(quiet=options.quiet, title="evaluate", device=device) as bar:
        done = job(
            output=Path(options.output) if options.output else None,
            overwrite=options.overwrite,
            limit_clips=options.limit_clips,
            device=device,
            asked={name: value for name, value in vars(options).items() if name not in ("run", "verb", "flags")},
            on_progress=bar.update,
            on_note=bar.say,
        )
    if done is None:  # another process prints
        return
    if done.results is not None:
        print(summary_text(done.results))
    if done.files:
        print("\nlook at:", *(f"  {path}" for path in done.files), sep="\n")
    for kind, folder in done.stored.items():
        print(f"stored: {done.frames} frames, {kind}: {folder}")
