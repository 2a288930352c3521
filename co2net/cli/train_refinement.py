"""Stage 2 training from the command line: ``scripts/my_train.py`` and ``co2net train refinement``.

Takes every flag of the original's training script; docs/training.md has the table.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from co2net.cli.options import add_device, add_quiet, device_name, picked, run_script
from co2net.cli.training_options import (
    add_settings,
    add_time_limit,
    notes,
    report,
    set_given,
    spoken_by_first,
)
from co2net.errors import InputError

if TYPE_CHECKING:
    from co2net.training.jobs import Outcome

DESCRIPTION = "Train the refinement on video clips, with a finished backbone (stage 2)."
EXAMPLES = """\
examples:
  # a few clips on a CPU: starts as the color mapping's result, neighbors are read on the fly
  {command} --recipe quick --dataset_path sample_data --train_list train_list.txt \\
      --val_list test_list.txt --backbone default --use_feature --previous_num 8 --future_num 8 --exp_name runs/quick

  # the published recipe on a GPU, from stored results of the color mapping (scripts/evaluate_model.py writes them)
  {command} --gpu 0 --dataset_path HYouTube --train_list train_list.txt --val_list test_list.txt \\
      --backbone issam_backbone.pth --use_feature --normalize_inside --previous_num 8 --future_num 8 \\
      --lut_map_dir lut_map --lut_output_dir lut_output --workers 8 --exp_name runs/paper

  # the same on four GPUs: torchrun --nproc-per-node 4 scripts/my_train.py ... (or -m co2net train refinement ...)

A run that was stopped goes on when the same command is given again. Its best model is EXP_NAME/best.safetensors, for
`co2net harmonize --weights`. Watch it with: tensorboard --logdir runs/
"""


def add_options(p: argparse.ArgumentParser, command: str) -> None:
    """Describe and add the options; `command` is what the examples call."""
    from co2net.training.refinement_config import RECIPES

    p.description, p.epilog = DESCRIPTION, EXAMPLES.format(command=command)
    data = p.add_argument_group("data and model")
    data.add_argument("--dataset_path", required=True, help="folder of the data set (HYouTube layout)")
    data.add_argument("--train_list", required=True, help="list of clips or frames; a bare name is the data set's own")
    data.add_argument("--val_list", help="list of the held-out clips; without it the newest epoch counts as the best")
    data.add_argument("--lut_output_dir", default="", help="stored results of the color mapping; with --lut_map_dir")
    data.add_argument("--lut_map_dir", default="", help="stored maps of unseen colors; with --lut_output_dir")
    data.add_argument(
        "--backbone", default="", help='weights of the backbone, or "default"; needed unless --checkpoint is given'
    )
    data.add_argument("--backbone_type", help="issam (default), rain, or another of `co2net models`")
    data.add_argument("--use_feature", action="store_true", help="feed the backbone's features to the refinement")
    data.add_argument("--checkpoint", default="", help="full model to start from; its backbone replaces --backbone")
    data.add_argument("--mapping", choices=("paper", "smooth"), help="color mapping (default: as the weights ask)")
    data.add_argument(
        "--normalize_inside",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="accepted and always on: images are normalized inside the model",
    )
    run = p.add_argument_group("run")
    run.add_argument(
        "--exp_name", required=True, dest="folder", help="folder for checkpoints, logs and the best weights"
    )
    run.add_argument("--recipe", choices=list(RECIPES), default="paper", help="quick: small data and CPU")
    add_settings(run, RECIPES)
    run.add_argument("--gpu", help="number of the GPU, as --device cuda:N")
    add_device(run)
    add_time_limit(run)
    add_quiet(run, "no progress, no notes, no summary")
    ignored = p.add_argument_group("accepted and ignored, as in the original")
    ignored.add_argument("--config-path", help=argparse.SUPPRESS)
    ignored.add_argument("--eval-prefix", help=argparse.SUPPRESS)
    ignored.description = "--config-path, --eval-prefix"
    p.set_defaults(run=_run)


main = partial(run_script, "my_train.py", add_options)


@spoken_by_first
def _run(options: argparse.Namespace, quiet: bool) -> None:
    if options.normalize_inside is False:
        raise InputError(
            "--no-normalize_inside: training outside the model's color space mixes spaces and is refused; leave it out"
        )
    if bool(options.lut_output_dir) != bool(options.lut_map_dir):
        raise InputError("--lut_output_dir and --lut_map_dir belong together; give both or neither")
    for flag, value in (("--config-path", options.config_path), ("--eval-prefix", options.eval_prefix)):
        if value is not None and not quiet:
            print(f"note: {flag} is ignored, as in the original", file=sys.stderr)
    device = device_name(options)

    from co2net.data.stored_results import NAME
    from co2net.training.jobs import train_refinement
    from co2net.training.refinement_config import RECIPES

    config = RECIPES[options.recipe]()
    config.crop = (options.size or config.size) // 2 if config.crop else 0
    config.stored = bool(options.lut_output_dir)
    set_given(config, options)
    stored = (Path(options.lut_output_dir), Path(options.lut_map_dir)) if config.stored else None
    if stored and not (stored[0] / NAME).exists() and not quiet:
        print(
            f"note: {stored[0]} holds no {NAME} (results of the original do not): nothing tells whether this backbone, "
            "mapping and size made them",
            file=sys.stderr,
        )
    with notes(quiet=quiet):
        outcome = train_refinement(
            options.dataset_path,
            options.train_list,
            Path(options.folder),
            config,
            stored=stored,
            device=device,
            **picked(options, "val_list backbone backbone_type use_feature checkpoint mapping time_limit quiet"),
        )
    if not quiet:
        report(outcome.summary, Path(options.folder))
        _tell_scores(outcome, config.epochs)


def _tell_scores(outcome: Outcome, epochs: int) -> None:
    progress = outcome.summary.progress
    if outcome.path.exists():
        print(f"{outcome.path}: epoch {outcome.best_epoch} of {epochs}")
    if progress.best_scores:
        errors = {k.removeprefix("fmse_"): v for k, v in progress.best_scores.items() if k.startswith("fmse_")}
        values = ", ".join(f"{name} {value:.1f}" for name, value in errors.items())
        print(f"foreground squared error on {outcome.held_out} held-out frames: {values}")
        if not outcome.best_epoch:
            print("no epoch was better than the start, the color mapping alone: try more clips or a lower rate")
        elif errors["final"] > errors["lut"]:
            print(
                f"even the best epoch is worse than the color mapping alone ({errors['final']:.1f} against "
                f"{errors['lut']:.1f}): train longer, or use --recipe quick, which starts as the color mapping"
            )
    print(f"waiting for data: {outcome.summary.data_wait_share:.0%} of the training time")
