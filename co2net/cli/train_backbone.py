"""Stage 1 training from the command line: ``scripts/train_backbone.py`` and ``co2net train backbone``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from co2net.cli.errors import exit_code
from co2net.cli.evaluate import add_flow_options, flow_from
from co2net.cli.options import OptionParser, add_device, add_quiet
from co2net.cli.training_options import add_time_limit, at_least, positive, report, spoken_by_first
from co2net.errors import InputError

if TYPE_CHECKING:
    from co2net.data.samples import Sample
    from co2net.training.backbone import Stage1Config
    from co2net.training.temporal import TemporalConfig

SCRIPT = "python scripts/train_backbone.py"
DESCRIPTION = "Train a backbone on single frames (stage 1)."
LOOKS = {
    "untouched": "look right already",
    "weakened": "show a part of a change",
    "distorted": "change by white balance, exposure, contrast, gamma, saturation, faded blacks",
    "blended": "show a blend of two LUTs",
    "graded": "lie in a scene that was graded as a whole",
    "borrowed": "are cut with another picture's mask",
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


def parser() -> argparse.ArgumentParser:
    """Options of the script."""
    p = OptionParser(prog="train_backbone.py")
    add_options(p, SCRIPT)
    return p


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
    run.add_argument("--exp_name", required=True, help="folder for checkpoints, logs and the final weights")
    run.add_argument("--backbone_type", default="issam", help="issam (default), rain or lutnet; see co2net models")
    run.add_argument(
        "--recipe", choices=("quick", "mapping", "paper"), help="default: mapping for lutnet, quick for the others"
    )
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
    run.add_argument("--learning_rate", type=float, help="base rate of Adam (default 1e-3)")
    run.add_argument("--init", help="weights to start from")
    run.add_argument("--precision", choices=("bf16", "fp32"), help="default: bf16 for quick, fp32 for paper")
    run.add_argument("--smoothness", type=float, help="weight of the LUT's roughness in the mapping recipe's loss")
    run.add_argument("--averaging", type=float, help="decay of the running mean of the weights; 0 keeps the last ones")
    add_device(run)
    run.add_argument("--workers", type=int, default=0, help="processes that prepare samples")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument(
        "--checkpoint_every", type=int, help="steps between checkpoints (default 250; also every 5 minutes)"
    )
    run.add_argument("--log_every", type=int, help="steps between lines of logs.txt (default 50)")
    add_time_limit(run)
    add_quiet(run, "no progress, no notes, no summary")
    looks = p.add_argument_group("composites made on the fly (shares of them, 0 to 1; not for the paper recipe)")
    for name, text in LOOKS.items():
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
    p.set_defaults(run=run_backbone)


def main(argv: list[str] | None = None) -> int:
    """Run the script; returns the exit code."""
    options = parser().parse_args(argv)
    return exit_code(lambda: run_backbone(options))


def run_backbone(options: argparse.Namespace) -> None:
    """Train; only the first of several processes speaks."""
    spoken_by_first(lambda _first: _run(options))


def _run(options: argparse.Namespace) -> None:
    import torch

    from co2net.devices import choose_device
    from co2net.models.registry import create_backbone
    from co2net.processes import process_group
    from co2net.training.backbone import train_stage1
    from co2net.training.color_changes import load_luts
    from co2net.training.loop import LoopSettings

    device = choose_device(options.device)
    if options.train_list and not options.val_list:
        raise InputError("--train_list needs --val_list too: the list of the held-out clips")
    temporal = _temporal(options)
    estimate = flow_from(options).create() if temporal else None
    train, validation = (_examples(options, split, temporal) for split in ("train", "val"))
    if not train[0].has_composite and not options.luts:
        raise InputError(f"{options.dataset_path} holds no composites; give --luts to make them")
    empty = torch.zeros(0, 3, 33, 33, 33)
    luts = load_luts(options.luts, "train") if options.luts else empty
    validation_luts = load_luts(options.luts, "test") if options.luts else empty

    config = _config(options, len(train), temporal)
    torch.manual_seed(config.seed)
    network = create_backbone(options.backbone_type, options.init, folder=None, **config.settings)
    if not options.init:
        network.initialize(start_as_identity=config.start_as_identity)
    folder = Path(options.exp_name)
    settings = LoopSettings(
        config.log_every, config.checkpoint_every, time_limit=options.time_limit, quiet=options.quiet
    )
    with process_group(device) as processes:
        summary = train_stage1(
            network,
            train,
            validation,
            luts,
            validation_luts,
            config,
            folder,
            processes,
            estimate=estimate,
            settings=settings,
        )
    if not processes.first or options.quiet:
        return
    report(summary, folder)
    if summary.finished:
        share = summary.progress.last_scores["error_share"]
        path = folder / f"{config.backbone}.safetensors"
        print(f"{path}: foreground error {share:.1%} of the composite's on {len(validation)} held-out pictures")
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
    given = {
        name: getattr(options, name) for name in ("flow_input", "frame_step") if getattr(options, name) is not None
    }
    digest = file_sha256(flow.weights) if flow.weights else ""
    return TemporalConfig(options.temporal_weight, flow.name, digest, **given)


def _examples(options: argparse.Namespace, split: str, temporal: TemporalConfig | None) -> list[Sample]:
    from co2net.data import read_dataset
    from co2net.data.clips import with_previous

    path = options.train_list if split == "train" else options.val_list
    # Without a list the files are looked for when they are wanted: a data set may have ten thousands.
    samples = read_dataset(options.dataset_path, path, None if path else split, check_files=bool(path))
    if temporal:
        return with_previous(samples, temporal.frame_step, need_real=temporal.flow_input == "real")
    return samples


def _config(options: argparse.Namespace, samples_per_epoch: int, temporal: TemporalConfig | None) -> Stage1Config:
    from dataclasses import replace

    from co2net.flow.dis import SMALLEST_SIDE
    from co2net.training.backbone import paper_config, recipe_config

    positive(options, "learning_rate")
    at_least(options, 0, "seed", "workers")
    at_least(options, 1, "checkpoint_every", "log_every")
    if options.recipe == "paper":
        if options.phases:
            raise InputError(f"--phases {options.phases}: the paper's recipe has phases of its own, leave it out")
        config = paper_config(options.backbone_type, samples_per_epoch, temporal)
    else:
        config = recipe_config(options.backbone_type, options.recipe)
        config.temporal = temporal
        if options.phases:
            config.phases = _parse_phases(options.phases)
        smallest = min(phase.size for phase in config.phases)
        if temporal and temporal.runs_on_cpu and smallest < SMALLEST_SIDE:
            raise InputError(f"--phases {options.phases}: the flow dis wants at least {SMALLEST_SIDE} pixels")
    shares = {name: getattr(options, name) for name in LOOKS if getattr(options, name) is not None}
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise InputError(f"--{name} {share}: a share lies between 0 and 1")
    config.mix = replace(config.mix, **shares)
    config.settings |= dict(_parse_setting(text) for text in options.setting)
    for name in ("learning_rate", "precision", "smoothness", "averaging", "checkpoint_every", "log_every"):
        if getattr(options, name) is not None:
            setattr(config, name, getattr(options, name))
    config.adversarial_weight = options.adversarial_weight
    if config.adversarial_weight is not None and not 0 < config.adversarial_weight < float("inf"):
        raise InputError(f"--adversarial_weight {config.adversarial_weight:g}: wanted a number above 0")
    config.seed, config.workers = options.seed, options.workers
    return config


def _parse_setting(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name.replace("-", "_"), float(value) if "." in value else int(value)
    except ValueError:
        raise InputError(f"--setting {text}: wanted NAME=NUMBER") from None


def _parse_phases(text: str) -> list:
    from co2net.training.backbone import Phase

    try:
        return [Phase(*(int(part) for part in phase.split(":"))) for phase in text.split(",")]
    except (TypeError, ValueError):
        raise InputError(f"--phases {text}: wanted SIZE:SAMPLES:BATCH, several joined by commas") from None
