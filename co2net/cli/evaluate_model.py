"""``scripts/evaluate_model.py``: the evaluation command that HYouTube users know."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from co2net.cli.evaluate import (
    add_common_options,
    add_output_options,
    add_temporal_options,
    evaluate_and_print,
    settings_from,
)
from co2net.cli.options import add_quiet, device_name, run_script

DESCRIPTION = """\
Score a model on a data set in HYouTube's layout, with the flags of the original script. Without --checkpoint the color
mapping alone is evaluated (no refinement), blended as published. `co2net evaluate` is the same with shorter options.
"""
EXAMPLES = """\
examples:
  {command} --dataset_path HYouTube --val_list test_frames.txt --backbone issam_backbone.pth \\
    --previous_num 8 --future_num 8 --use_feature --checkpoint issam_final.pth --output runs/published
  {command} --dataset_path HYouTube --val_list all_frames.txt --backbone issam_backbone.pth \\
    --previous_num 8 --future_num 8 --write_lut_output lut --write_lut_map map --no_metrics
  {command} DucoNet DucoNet256.pth --resize-strategy Fixed256 --gpu 0   # single pictures;
                                                 # `evaluate_model.py DucoNet DucoNet256.pth --help` has the options
"""
IGNORED = {
    "resize_strategy": "--resize-strategy", "use_flip": "--use-flip", "train_list": "--train_list",
    "config_path": "--config-path", "eval_prefix": "--eval-prefix",
}  # fmt: skip


def _add_options(p: argparse.ArgumentParser, command: str) -> None:
    p.description, p.epilog = DESCRIPTION, EXAMPLES.format(command=command)
    known = p.add_argument_group("flags of the original")
    known.add_argument("--gpu", metavar="N", help="number of the GPU; default: see --device")
    known.add_argument("--dataset_path", required=True, help="folder of the data set")
    known.add_argument("--val_list", required=True, help="frame or clip list; a bare name is the data set's")
    known.add_argument("--backbone", default="", help="backbone weights; default: those that ship with co2net")
    known.add_argument("--backbone_type", help="issam, rain, ...; default: what the weights are")
    known.add_argument("--checkpoint", default="", help="full weights; without: the color mapping alone")
    known.add_argument("--previous_num", type=int, default=1, dest="previous", metavar="N", help="default 1")
    known.add_argument("--future_num", type=int, default=1, dest="future", metavar="N", help="default 1")
    known.add_argument("--use_feature", action="store_true", help="not needed: the checkpoint tells")
    known.add_argument("--normalize_outside", action="store_true", help="refused: it mixes color spaces")
    known.add_argument("--write_lut_output", default="", metavar="FOLDER", help="store the color mapping's frames")
    known.add_argument("--write_lut_map", default="", metavar="FOLDER", help="store the maps of unseen colors")
    known.add_argument("--write_npy_result", action="store_true", help="store final frames in --result_npy_dir")
    known.add_argument("--result_npy_dir", default="", metavar="FOLDER")
    known.add_argument("--write_npy_backbone", action="store_true", help="store the backbone's in --backbone_npy_dir")
    known.add_argument("--backbone_npy_dir", default="", metavar="FOLDER")
    for flag in ("--resize-strategy", "--train_list", "--config-path", "--eval-prefix"):
        known.add_argument(flag, help="ignored, as in the original")
    known.add_argument("--use-flip", action="store_true", default=None, help="ignored, as in the original")
    new = p.add_argument_group("new")
    add_common_options(new)
    new.add_argument("--step", type=int, default=5, metavar="N", help="distance of frame numbers (default 5)")
    add_temporal_options(p)
    new.add_argument("--output", metavar="FOLDER", help="results.json, report, pictures; makes the run resumable")
    add_output_options(new)
    new.add_argument("--limit-clips", type=int, metavar="N", help="only the first N clips")
    add_quiet(new, "no progress bar, no notes")
    p.set_defaults(run=_run)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; returns the exit code. A network's name in the first place means iHarmony4's form."""
    words = sys.argv[1:] if argv is None else argv
    if words and not words[0].startswith("-"):
        from co2net.cli import evaluate_images

        return evaluate_images.main(words)
    return run_script("evaluate_model.py", _add_options, words)


def _run(options: argparse.Namespace) -> None:
    from co2net.data.datasets import find_list
    from co2net.evaluation.run import run_evaluation
    from co2net.evaluation.settings import EvaluationSettings
    from co2net.models.registry import model_to_evaluate

    _refuse(options)
    notes = _notes(options)
    settings = EvaluationSettings(
        **settings_from(
            options,
            options.write_lut_output,
            options.write_lut_map,
            options.result_npy_dir if options.write_npy_result else None,
            options.backbone_npy_dir if options.write_npy_backbone else None,
        )
    )
    dataset = Path(options.dataset_path)
    frame_list = find_list(options.val_list, dataset)
    model, weights = model_to_evaluate(
        options.checkpoint or options.backbone or "default",
        "checkpoint" if options.checkpoint else "backbone",
        backbone=options.backbone_type,
        lut_only=not options.checkpoint,
        paper_lut_only=None,
        mapping=options.mapping,
        unseen_rule=options.unseen_rule,
    )
    if options.use_feature and model.refinement and not model.use_feature:
        notes.append("--use_feature does not fit the checkpoint, whose refinement reads no features; the file counts")
    if not options.quiet:
        for note in notes:
            print(f"co2net: note: {note}", file=sys.stderr)
    evaluate_and_print(options, partial(run_evaluation, dataset, frame_list, model, weights, settings))


def _refuse(options: argparse.Namespace) -> None:
    from co2net.errors import InputError

    if options.normalize_outside:
        raise InputError(
            "--normalize_outside is refused: it reads LUTs with normalized colors and mixes color spaces; "
            "leave it out, the model normalizes by itself"
        )
    options.device = device_name(options)
    for switch, folder in (("write_npy_result", "result_npy_dir"), ("write_npy_backbone", "backbone_npy_dir")):
        if getattr(options, switch) != bool(getattr(options, folder)):
            raise InputError(f"--{switch} and --{folder} belong together; one of them is missing")


def _notes(options: argparse.Namespace) -> list[str]:
    ignored = [flag for name, flag in IGNORED.items() if getattr(options, name) is not None]
    notes = []
    if ignored:
        notes.append(f"{', '.join(ignored)}: ignored, as in the original (the size is --size)")
    if options.checkpoint and options.backbone:
        notes.append(f"--backbone {options.backbone} is not read: the checkpoint holds the backbone too")
    if not options.checkpoint and not options.backbone:
        notes.append("neither --backbone nor --checkpoint given: the shipped weights' color mapping is evaluated")
    return notes
