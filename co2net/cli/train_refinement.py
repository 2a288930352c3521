"""Stage 2 training from the command line: ``scripts/my_train.py`` and ``co2net train refinement``.

Takes every flag of the original's training script (``specs/co2net.md`` section 13.1); docs/training.md has the table.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from co2net.cli.errors import exit_code
from co2net.cli.options import OptionParser, add_quiet
from co2net.cli.training_options import add_time_limit, report, spoken_by_first
from co2net.errors import InputError

if TYPE_CHECKING:
    from co2net.models.co2net import CO2Net
    from co2net.training.loop import Summary
    from co2net.training.refinement_config import Stage2Config

SCRIPT = "python scripts/my_train.py"
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


def parser() -> argparse.ArgumentParser:
    """Options of ``scripts/my_train.py``."""
    p = OptionParser(prog="my_train.py")
    add_options(p, SCRIPT)
    return p


def add_options(p: argparse.ArgumentParser, command: str) -> None:
    """Describe and add the options; `command` is what the examples call."""
    p.description, p.epilog = DESCRIPTION, EXAMPLES.format(command=command)
    switch = argparse.BooleanOptionalAction
    data = p.add_argument_group("data")
    data.add_argument("--dataset_path", required=True, help="folder of the data set (HYouTube layout)")
    data.add_argument("--train_list", required=True, help="list of clips or frames; a bare name is the data set's own")
    data.add_argument("--val_list", help="list of the held-out clips; without it the newest epoch counts as the best")
    data.add_argument("--previous_num", type=int, default=1, help="neighbors before the frame (default 1; published 8)")
    data.add_argument("--future_num", type=int, default=1, help="neighbors after it (default 1; published 8)")
    data.add_argument("--frame_step", type=int, default=5, help="distance of annotated frames in numbers (default 5)")
    data.add_argument("--lut_output_dir", default="", help="stored results of the color mapping; with --lut_map_dir")
    data.add_argument("--lut_map_dir", default="", help="stored maps of unseen colors; with --lut_output_dir")
    data.add_argument("--size", type=int, default=256, help="height and width of the frames in pixels (default 256)")

    model = p.add_argument_group("model")
    model.add_argument(
        "--backbone", default="", help='weights of the backbone, or "default"; needed unless --checkpoint is given'
    )
    model.add_argument("--backbone_type", help="issam (default), rain, or another of `co2net models`")
    model.add_argument("--use_feature", action="store_true", help="feed the backbone's features to the refinement")
    model.add_argument("--checkpoint", default="", help="full model to start from; its backbone replaces --backbone")
    model.add_argument("--mapping", choices=("paper", "smooth"), help="color mapping (default: as the weights ask)")
    model.add_argument(
        "--normalize_inside",
        action=switch,
        default=None,
        help="accepted and always on: images are normalized inside the model",
    )

    run = p.add_argument_group("run")
    run.add_argument("--exp_name", required=True, help="folder for checkpoints, logs and the best weights")
    run.add_argument("--recipe", choices=("paper", "quick"), default="paper", help="quick: small data and CPU")
    run.add_argument("--epochs", type=int, default=120, help="default 120")
    run.add_argument("--batch_size", type=int, help="over all processes (default: paper 32, quick 16)")
    run.add_argument("--learning_rate", type=float, help="of AdamW (default: paper 1e-5, quick 1e-4)")
    run.add_argument(
        "--schedule",
        choices=("epochs", "steps", "cosine"),
        help="epochs: a tenth at epochs 105 and 115 (paper); steps: at steps 105 and 115, as the original runs; "
        "cosine: down to 0 (quick)",
    )
    run.add_argument("--loss", choices=("paper", "foreground"), help="whole frame, or inside the mask only (quick)")
    run.add_argument("--minimum_area", type=float, help="floor of the mask's area in the paper's loss (default 1; 0)")
    run.add_argument("--start", choices=("default", "lut"), help="fresh refinement: random, or as the LUT (quick)")
    run.add_argument("--freeze_batch_norm", action=switch, default=None, help="on in quick")
    run.add_argument("--caution", type=float, help="share by which targets are moved to the composite (quick 0.15)")
    run.add_argument("--flip", action=switch, default=None, help="mirror half of the samples; on in quick")
    run.add_argument("--crop", type=int, help="side of random crops in pixels, 0 for none (quick: half the --size)")
    run.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32", help="of the networks")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--gpu", help="number of the GPU, as --device cuda:N")
    run.add_argument("--device", help="auto (default), cpu, cuda, cuda:N or mps")
    run.add_argument("--workers", type=int, default=0, help="processes that read frames (default 0: none beside this)")
    run.add_argument("--val_every", type=int, default=1, help="epochs between validations (default 1)")
    run.add_argument("--checkpoint_every", type=int, default=250, help="steps between checkpoints (default 250)")
    run.add_argument("--log_every", type=int, default=100, help="steps between lines of logs.txt (default 100)")
    run.add_argument(
        "--keep_gib", type=float, default=4.0, help="memory for results that do not change (default 4 GiB; 0: none)"
    )
    add_time_limit(run)
    add_quiet(run, "no progress, no notes, no summary")
    ignored = p.add_argument_group("accepted and ignored, as in the original")
    ignored.add_argument("--config-path", help=argparse.SUPPRESS)
    ignored.add_argument("--eval-prefix", help=argparse.SUPPRESS)
    ignored.description = "--config-path, --eval-prefix"
    p.set_defaults(run=run_refinement)


def main(argv: list[str] | None = None) -> int:
    """Run the script; returns the exit code."""
    options = parser().parse_args(argv)
    return exit_code(lambda: run_refinement(options))


def run_refinement(options: argparse.Namespace) -> None:
    """Train; only the first of several processes speaks."""
    spoken_by_first(lambda first: _run(options, first=first))


def _run(options: argparse.Namespace, *, first: bool) -> None:
    if options.normalize_inside is False:
        raise InputError(
            "--no-normalize_inside: training outside the model's color space mixes spaces and is refused; leave it out"
        )
    if bool(options.lut_output_dir) != bool(options.lut_map_dir):
        raise InputError("--lut_output_dir and --lut_map_dir belong together; give both or neither")
    if not options.backbone and not options.checkpoint:
        raise InputError(
            "--backbone is missing: give the weights of a trained backbone, --backbone default for those that ship, "
            "or a full model with --checkpoint"
        )
    _note_ignored(options, quiet=options.quiet or not first)
    device_name = _device_name(options)

    import torch

    from co2net.data import read_dataset
    from co2net.data.stored_results import NAME
    from co2net.devices import choose_device
    from co2net.processes import process_group
    from co2net.training.loop import LoopSettings
    from co2net.training.refinement import BEST, train_stage2

    config = _config(options)
    config.check()
    device = choose_device(device_name)
    if config.precision == "fp16" and device.type != "cuda":
        raise InputError(f"--precision fp16 needs a CUDA GPU, and this runs on {device.type}; use bf16 or fp32")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", UserWarning)
        train = read_dataset(options.dataset_path, options.train_list, composites=True)
        validation = read_dataset(options.dataset_path, options.val_list, composites=True) if options.val_list else []
    for warning in warned if first and not options.quiet else []:
        print(f"note: {warning.message}", file=sys.stderr)
    torch.manual_seed(config.seed)
    model, name = _model(options, config)
    stored = (Path(options.lut_output_dir), Path(options.lut_map_dir)) if config.stored else None
    if stored and not (stored[0] / NAME).exists() and first and not options.quiet:
        print(
            f"note: {stored[0]} holds no {NAME} (results of the original do not): nothing tells whether this backbone, "
            "mapping and size made them",
            file=sys.stderr,
        )
    folder = Path(options.exp_name)
    settings = LoopSettings(
        config.log_every, config.checkpoint_every, time_limit=options.time_limit, quiet=options.quiet
    )
    with process_group(device) as processes:
        summary = train_stage2(
            model, train, validation, config, folder, processes, stored=stored, backbone_name=name, settings=settings
        )
    if first and not options.quiet:
        report(summary, folder)
        _tell_scores(summary, config, folder / BEST, len(train), len(validation))


def _tell_scores(summary: Summary, config: Stage2Config, path: Path, frames: int, validation: int) -> None:
    progress = summary.progress
    best_epoch = progress.best_step // -(-frames // config.batch_size)
    if path.exists():
        print(f"{path}: epoch {best_epoch} of {config.epochs}")
    if progress.best_scores:
        errors = {k.removeprefix("fmse_"): v for k, v in progress.best_scores.items() if k.startswith("fmse_")}
        values = ", ".join(f"{name} {value:.1f}" for name, value in errors.items())
        print(f"foreground squared error on {validation} held-out frames: {values}")
        if not best_epoch:
            print("no epoch was better than the start, the color mapping alone: try more clips or a lower rate")
        elif errors["final"] > errors["lut"]:
            print(
                f"even the best epoch is worse than the color mapping alone ({errors['final']:.1f} against "
                f"{errors['lut']:.1f}): train longer, or use --recipe quick, which starts as the color mapping"
            )
    print(f"waiting for data: {summary.data_wait_share:.0%} of the training time")


def _note_ignored(options: argparse.Namespace, *, quiet: bool) -> None:
    notes = [
        f"{flag} is ignored, as in the original"
        for flag, value in (("--config-path", options.config_path), ("--eval-prefix", options.eval_prefix))
        if value is not None
    ]
    for note in [] if quiet else notes:
        print(f"note: {note}", file=sys.stderr)


def _device_name(options: argparse.Namespace) -> str:
    if options.gpu is None:
        return options.device or "auto"
    if options.device is not None:
        raise InputError("--gpu and --device say the same; give one of them")
    if not options.gpu.isdecimal():
        raise InputError(f"--gpu {options.gpu}: want the number of one GPU; for several see torchrun in --help")
    return f"cuda:{options.gpu}"


def _config(options: argparse.Namespace) -> Stage2Config:
    from co2net.training.refinement_config import RECIPES

    config = RECIPES[options.recipe]()
    config.crop = options.size // 2 if config.crop else 0
    config.previous, config.future = options.previous_num, options.future_num
    config.stored = bool(options.lut_output_dir)
    config.validate_every = options.val_every
    for name in (
        *("frame_step", "size", "epochs", "precision", "seed", "workers", "checkpoint_every", "log_every", "keep_gib"),
        *("batch_size", "learning_rate", "schedule", "loss", "minimum_area", "start", "freeze_batch_norm", "caution"),
        *("flip", "crop"),
    ):
        value = getattr(options, name)
        if value is not None:  # None: the recipe decides
            setattr(config, name, value)
    return config


def _model(options: argparse.Namespace, config: Stage2Config) -> tuple[CO2Net, str]:
    """The model to train, and its backbone's name."""
    from co2net.models.checkpoints import infer_settings, read_weights
    from co2net.models.co2net import CO2Net
    from co2net.models.registry import DEFAULT_BACKBONE, create_backbone, create_model, weights_path
    from co2net.models.weight_header import read_header

    if options.checkpoint:
        model = create_model(backbone=options.backbone_type, weights=options.checkpoint, mapping=options.mapping)
        name = options.backbone_type or infer_settings(read_weights(options.checkpoint).state).backbone
        if not model.refinement:
            raise InputError(f"--checkpoint {options.checkpoint} holds no refinement; give it as --backbone")
        return model, name or DEFAULT_BACKBONE

    name = options.backbone_type or DEFAULT_BACKBONE
    path = weights_path(options.backbone, name, refinement=False)
    backbone = create_backbone(name, weights=path)
    mapping = options.mapping or read_header(path).mapping or "paper"
    model = CO2Net(backbone, use_feature=options.use_feature, mapping=mapping)  # type: ignore[arg-type]
    if config.start == "lut" and model.refine_network is not None:
        model.refine_network.initialize_as_lut()
    return model, name
