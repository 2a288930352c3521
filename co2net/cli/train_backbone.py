"""Stage 1 training from the command line: ``scripts/train_backbone.py`` and ``co2net train backbone``."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from co2net.cli.evaluate import add_flow_options, flow_from
from co2net.cli.options import add_device, add_quiet, picked, run_script
from co2net.cli.training_options import add_time_limit, notes, report, spoken_by_first
from co2net.errors import InputError

if TYPE_CHECKING:
    from co2net.training.temporal import TemporalConfig

DESCRIPTION = "Train a backbone on single frames (stage 1)."
SHARES = {
    "untouched": "look right already",
    "weakened": "show a part of a change",
    "distorted": "change by white balance, exposure, contrast, gamma, saturation, faded blacks",
    "blended": "show a blend of two LUTs",
    "graded": "lie in a scene that was graded as a whole",
    "borrowed": "are cut with another picture's mask",
}
SETTINGS: dict[str, tuple[type, str]] = {
    "learning_rate": (float, "base rate of Adam (default: the recipe's, 1e-3 in most)"),
    "precision": (str, "bf16 or fp32 (default: the recipe's; fp32 for paper)"),
    "smoothness": (float, "weight of the roughness of a predicted LUT in the loss"),
    "averaging": (float, "decay of the running mean of the weights; 0 keeps the last ones"),
    "workers": (int, "processes that prepare samples (default 0: none beside this)"),
    "seed": (int, "of samples and first weights (default 0)"),
    "validate_every": (int, "steps between validations (default 1000)"),
    "checkpoint_every": (int, "steps between checkpoints (default 250); there is one every 5 minutes anyway"),
    "log_every": (int, "steps between lines of logs.txt (default 50)"),
}
EXAMPLES = """\
examples:
  # single pictures with masks, composites made on the fly by LUTs (an hour or two on two cores)
  {command} --dataset_path frames/ --luts luts/ --exp_name runs/issam

  # the network that predicts a LUT, with more composites that are right already
  {command} --dataset_path frames/ --luts luts/ --backbone_type lutnet --untouched 0.3 --exp_name runs/lutnet

  # HYouTube with its own composites, the published recipe, on a GPU
  {command} --dataset_path HYouTube/ --train_list train_list.txt --val_list test_list.txt \\
      --recipe paper --device cuda --workers 8 --exp_name runs/issam_paper

  # the same with consistency over time: the baseline of Huang et al.
  {command} --dataset_path HYouTube/ --train_list train_list.txt --val_list test_list.txt \\
      --recipe paper --temporal_weight 0.01 --flow flownet2 --flow_weights FlowNet2_checkpoint.pth.tar \\
      --device cuda --workers 8 --exp_name runs/issam_huang

A run that was stopped goes on when the same command is given again. Watch it with: tensorboard --logdir runs/
"""


def add_options(p: argparse.ArgumentParser, command: str) -> None:
    """Describe and add the options; `command` is what the examples call."""
    p.description, p.epilog = DESCRIPTION, EXAMPLES.format(command=command)
    data = p.add_argument_group("data")
    data.add_argument(
        "--dataset_path", required=True, help="folder of pictures and masks, iHarmony4, HYouTube or clips"
    )
    data.add_argument("--train_list", help="HYouTube list for training, of clips or frames; its composites are used")
    data.add_argument("--val_list", help="HYouTube list for validation")
    data.add_argument("--luts", help="folder of LUTs (.cube, or luts.npz with split.json) for making composites")
    run = p.add_argument_group("run")
    run.add_argument(
        "--exp_name", required=True, dest="folder", help="folder for checkpoints, logs and the final weights"
    )
    run.add_argument("--backbone_type", default="issam", help="issam (default), rain, lutnet, ...; see co2net models")
    run.add_argument("--recipe", help="quick, paper, or one of the network's own (default: its usual one)")
    run.add_argument(
        "--phases",
        help="sizes as SIZE:SAMPLES:BATCH,... (default of quick 64:130000:32,128:16000:16,256:2000:8, of mapping "
        "64:48000:32)",
    )
    run.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="setting of the network, such as width=32 for lutnet; may be repeated",
    )
    for name, (kind, text) in SETTINGS.items():
        run.add_argument(f"--{name}", type=kind, help=text)
    run.add_argument("--init", help="weights to start from")
    run.add_argument("--finetune_base", action="store_true", help="train also the parts that the recipe freezes")
    run.add_argument(
        "--compile",
        action="store_true",
        help="compile each step first, some minutes, for faster ones; wants a C++ compiler",
    )
    add_device(run)
    add_time_limit(run)
    add_quiet(run, "no progress, no notes, no summary")
    looks = p.add_argument_group("composites made on the fly (shares of them, 0 to 1; not for the paper recipe)")
    for name, text in SHARES.items():
        looks.add_argument(f"--{name}", type=float, help=text)
    time = p.add_argument_group("consistency over time (from clips with composites)")
    time.add_argument(
        "--temporal_weight",
        type=float,
        metavar="WEIGHT",
        help="train on pairs of frames of a clip, with this weight of their difference along the motion; the paper's "
        "is 0.01",
    )
    add_flow_options(time)
    time.add_argument(
        "--flow_input",
        choices=("real", "composite", "normalized"),
        help="what the flow sees: the real frames (default), the composites, or the composites in the published, wrong "
        "range",
    )
    time.add_argument("--frame_step", type=int, help="distance of a clip's frames, in frame numbers (default 5)")
    p.add_argument_group("adversarial training").add_argument(
        "--adversarial_weight",
        type=float,
        metavar="WEIGHT",
        help="train against a network that looks for changed pixels, with this weight of its disbelief (try 0.01)",
    )
    p.set_defaults(run=_run)


main = partial(run_script, "train_backbone.py", add_options)


@spoken_by_first
def _run(options: argparse.Namespace, quiet: bool) -> None:
    from co2net.training.jobs import train_backbone

    temporal = _temporal(options)
    changes = _given(options, *SETTINGS, "adversarial_weight")
    changes["mix"] = _given(options, *SHARES)
    changes["settings"] = dict(_parse_setting(text) for text in options.setting)
    if options.phases:
        changes["phases"] = _parse_phases(options.phases)
    if options.finetune_base:
        changes["frozen"] = ()
    changes["compiled"] = options.compile
    with notes(quiet=quiet):
        outcome = train_backbone(
            Path(options.dataset_path),
            Path(options.folder),
            backbone=options.backbone_type,
            changes=changes,
            temporal=temporal,
            estimate=flow_from(options).create() if temporal else None,
            **picked(options, "recipe train_list val_list luts init device time_limit quiet"),
        )
    if quiet:
        return
    report(outcome.summary, Path(options.folder))
    if outcome.summary.finished:
        share = outcome.summary.progress.last_scores["error_share"]
        pictures = f"{outcome.held_out} held-out pictures"
        print(f"{outcome.path}: foreground error {share:.1%} of the composite's on {pictures}")
        if share > 1:
            print("that is worse than the composite itself: train longer, or with a lower rate")


def _temporal(options: argparse.Namespace) -> TemporalConfig | None:
    from co2net.provenance import file_sha256
    from co2net.training.temporal import TemporalConfig

    if options.temporal_weight is None:
        for name in ("flow", "flow_weights", "flow_input", "frame_step"):
            if getattr(options, name) is not None:
                raise InputError(f"--{name} does nothing without --temporal_weight; add that, or leave it out")
        return None
    flow = flow_from(options)
    given = _given(options, "flow_input", "frame_step")
    digest = file_sha256(flow.weights) if flow.weights else ""
    return TemporalConfig(options.temporal_weight, flow.name, digest, **given)


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _parse_setting(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name.replace("-", "_"), float(value) if "." in value else int(value)
    except ValueError:
        raise InputError(f"--setting {text}: wanted NAME=NUMBER") from None


def _parse_phases(text: str) -> tuple[tuple[int, ...], ...]:
    try:
        phases = tuple(tuple(int(part) for part in phase.split(":")) for phase in text.split(","))
        if any(len(phase) != 3 for phase in phases):
            raise ValueError
        return phases
    except ValueError:
        raise InputError(f"--phases {text}: wanted SIZE:SAMPLES:BATCH, several joined by commas") from None
