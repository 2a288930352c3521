"""``co2net train cpnet`` and ``ssnet``, ``scripts/train_cpnet.py`` and ``train_ssnet.py``: SVCNet's published flags."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from co2net.cli.options import add_device, add_quiet, run_script
from co2net.cli.training_options import add_time_limit, at_least, positive, report, spoken_by_first
from co2net.errors import InputError

if TYPE_CHECKING:
    from co2net.colorization.training import Recipe
    from co2net.colorization.training_samples import Strokes
    from co2net.training.task import Task

DESCRIPTIONS = {
    "cpnet": "Train CPNet, which colors single pictures from strokes.",
    "ssnet": "Train SSNet, which makes CPNet's colors agree over time, and tune CPNet with it.",
}
EXAMPLES = {
    "cpnet": """\
examples:
  {command} --base_root photographs/ --save_path runs/cpnet
  {command} --base_root ILSVRC2012_train_256/ --seg_root ILSVRC2012_train_256_saliencymap/ --batch_size 32 \\
      --vgg_name vgg16_pretrained.pth --save_path runs/cpnet              # the published first step
""",
    "ssnet": """\
examples:
  {command} --baseroot DAVIS_videvo_train/ --cpnet_path cpnet.pth --warn_path warn.pth \\
      --corrnet_vgg_path vgg19_conv.pth --corrnet_nonlocal_path nonlocal_net_iter_76000.pth --srnet_path srnet.pth \\
      --pwcnet_path pwcNet-default.pytorch --lr_g_cpnet 1e-6 --save_path runs/ssnet
""",
}
# Flags of the published programs that nothing read, or that a lambda of 0 switched off.
_UNUSED = (
    "lr_d",
    "activ_d",
    "norm_d",
    "color_blur_width",
    "lambda_reg",
    "perceptual_path",
    "weight_decay",
    "init_gain",
)


def add_options(p: argparse.ArgumentParser, command: str, which: str) -> None:
    """Describe and add the options of "cpnet" or "ssnet"."""
    p.description, p.epilog = DESCRIPTIONS[which], EXAMPLES[which].format(command=command)
    ssnet = which == "ssnet"
    data = p.add_argument_group("data")
    data.add_argument("--baseroot" if ssnet else "--base_root", required=True, type=Path, dest="base_root")
    data.add_argument("--segroot" if ssnet else "--seg_root", type=Path, dest="seg_root", help="saliency maps")
    data.add_argument("--crop_size_h", type=int, default=256)
    data.add_argument("--crop_size_w", type=int, default=448 if ssnet else 256)
    data.add_argument("--color_point_prob", type=float, default=0.5, help="share of samples with strokes")
    data.add_argument("--color_point", type=int, default=40, help="most strokes")
    data.add_argument("--color_width", type=int, default=5, help="their width; 5 are 4 pixels")
    data.add_argument("--color_least_width", type=int, help="each sample's width is drawn from this to --color_width")
    run = p.add_argument_group("run")
    run.add_argument(
        "--save_path", type=Path, default=Path("./models"), help="folder for checkpoints, logs and weights"
    )
    run.add_argument("--pre_train_cpnet_type", default="CPNet_VGG16_Seg", help="or CPNet_VGG16, CPNet_plain")
    run.add_argument("--start_channels", type=int, default=64)
    run.add_argument("--epochs", type=int, default=41 if ssnet else 20)
    run.add_argument("--batch_size", type=int, default=1 if ssnet else 4, help="over all processes")
    run.add_argument("--lr_g_ssnet" if ssnet else "--lr_g", type=float, default=5e-5 if ssnet else 1e-4, dest="lr_g")
    run.add_argument("--lr_decrease_epoch", type=int, default=10)
    run.add_argument("--lr_decrease_factor", type=float, default=0.5)
    run.add_argument("--lr_schedule", choices=("steps", "cosine"), default="steps", help="cosine: warm-up, then to 0")
    run.add_argument("--clip_gradient", type=float, default=0.0, help="largest norm; 0: any")
    run.add_argument("--averaging", type=float, default=0.0, help="0.999: keep a running mean of the weights")
    run.add_argument("--lambda_l1", type=float, default=1.0)
    run.add_argument("--checkpoint_interval", type=int, default=1, help="epochs between numbered files")
    run.add_argument("--num_workers", type=int, default=0)
    run.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32")
    run.add_argument("--seed", type=int, default=0)
    add_device(run)
    add_time_limit(run)
    add_quiet(run, "no progress, no notes")
    if ssnet:
        run.add_argument("--pre_train_ssnet_type", default="SSNet")
        run.add_argument("--lr_g_cpnet", type=float, default=0.0, help="0 leaves CPNet as it is; published 1e-6")
        run.add_argument("--mask_para", type=float, default=200.0)
        run.add_argument("--upsample_ratio", type=int, default=2)
        for name, default in (("tv", 0.0), ("flow_short", 0.0), ("flow_long", 0.0), ("sr", 1.0)):
            run.add_argument(f"--lambda_{name}", type=float, default=default)
        files = p.add_argument_group("files to start from")
        for name in ("cpnet", "ssnet", "warn", "corrnet_vgg", "corrnet_nonlocal", "srnet", "pwcnet"):
            files.add_argument(f"--{name}_path", type=Path)
        files.add_argument("--arrangement", choices=("sound", "published"), default="sound")
    else:
        run.add_argument("--lambda_seg", type=float, default=0.1)
        run.add_argument("--finetune_path", type=Path, help="weights to start from")
        run.add_argument("--vgg_name", type=Path, help="VGG-16's weights (features.N.*)")
        data.add_argument("--val_root", type=Path, help="held-out pictures, for a score and the best file")
    for name in _UNUSED:
        p.add_argument(f"--{name}", help=argparse.SUPPRESS)
    p.set_defaults(run=_ssnet if ssnet else _cpnet)


def main(which: str, argv: list[str] | None = None) -> int:
    """Run the script of "cpnet" or "ssnet"; returns the exit code."""
    return run_script(f"train_{which}.py", lambda p, command: add_options(p, command, which), argv)


def _checked(options: argparse.Namespace) -> tuple[tuple[int, int], Strokes, Recipe]:
    from co2net.colorization.training import Recipe
    from co2net.colorization.training_samples import Strokes

    at_least(options, 1, "epochs", "batch_size", "color_point", "lr_decrease_epoch", "checkpoint_interval")
    at_least(options, 0, "seed", "num_workers")
    positive(options, "lr_g", "lr_decrease_factor")
    if not 0 <= options.averaging < 1 or options.clip_gradient < 0:
        raise InputError(
            "--averaging is a share from 0 to below 1, --clip_gradient 0 or more; got "
            f"{options.averaging} and {options.clip_gradient}"
        )
    size = options.crop_size_h, options.crop_size_w
    if any(side < 32 or side % 16 for side in size):
        raise InputError(f"--crop_size_h {size[0]} --crop_size_w {size[1]}: multiples of 16, at least 32")
    if not 0 <= options.color_point_prob <= 1:
        raise InputError(f"--color_point_prob {options.color_point_prob}: a share lies between 0 and 1")
    names = {"l1": "lambda_l1", "seg": "lambda_seg", "sr": "lambda_sr", "tv": "lambda_tv"}
    names |= {"short": "lambda_flow_short", "long": "lambda_flow_long"}
    recipe = Recipe(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.lr_g,
        cpnet_rate=getattr(options, "lr_g_cpnet", 0.0),
        decrease_every=options.lr_decrease_epoch,
        decrease_factor=options.lr_decrease_factor,
        schedule=options.lr_schedule,
        largest_gradient=options.clip_gradient,
        averaging=options.averaging,
        weights={term: getattr(options, flag, 0.0) for term, flag in names.items()},
        mask_parameter=getattr(options, "mask_para", 200.0),
        checkpoint_every=options.checkpoint_interval,
        precision=options.precision,
        seed=options.seed,
        workers=options.num_workers,
    )
    least = options.color_least_width
    if options.color_width < 1 or (least is not None and not 1 <= least <= options.color_width):
        raise InputError("--color_width and --color_least_width: 1 or more, the second no larger than the first")
    return size, Strokes(options.color_point_prob, options.color_point, options.color_width, least), recipe


@spoken_by_first
def _cpnet(options: argparse.Namespace, quiet: bool) -> None:
    import torch

    from co2net.colorization.networks import create_cpnet
    from co2net.colorization.training import TrainCPNet
    from co2net.colorization.training_samples import Pictures, find_pictures
    from co2net.weight_files import read_weights

    size, strokes, recipe = _checked(options)
    torch.manual_seed(options.seed)
    network = create_cpnet(options.pre_train_cpnet_type, options.start_channels, options.finetune_path)
    if options.vgg_name is not None and network.semantic:
        state = read_weights(options.vgg_name).state
        own = network.vgg.state_dict()
        missing = [name for name in own if name not in state]
        if missing:
            raise InputError(f"{options.vgg_name} lacks {missing[0]}; it must hold VGG-16's features")
        network.vgg.load_state_dict({name: state[name] for name in own})
    root, val = options.base_root, options.val_root
    samples = Pictures(root, options.seg_root, size, strokes, options.seed, find_pictures(root))
    held_out = None if val is None else Pictures(val, None, size, strokes, options.seed, find_pictures(val))
    _train(TrainCPNet(network, samples, held_out, recipe), options, quiet)


@spoken_by_first
def _ssnet(options: argparse.Namespace, quiet: bool) -> None:
    import torch

    from co2net.colorization.networks import create_cpnet, create_ssnet
    from co2net.colorization.training import TrainSSNet
    from co2net.colorization.training_samples import Clips, find_pictures
    from co2net.flow import create_flow
    from co2net.weight_files import load_whole, read_weights

    size, strokes, recipe = _checked(options)
    torch.manual_seed(options.seed)
    cpnet = create_cpnet(options.pre_train_cpnet_type, options.start_channels, options.cpnet_path)
    ssnet = create_ssnet(options.pre_train_ssnet_type, options.ssnet_path)
    parts = {"warn": ssnet.warn, "srnet": ssnet.srnet}
    if ssnet.corr is not None:
        parts |= {"corrnet_vgg": ssnet.corr.vggnet, "corrnet_nonlocal": ssnet.corr.nonlocal_net}
    for name, part in parts.items():
        path = getattr(options, f"{name}_path")
        if path is not None and part is not None and options.ssnet_path is None:
            load_whole(part, read_weights(path).state, path, name)
    clips: dict[Path, list[Path]] = {}
    for path in find_pictures(options.base_root):
        clips.setdefault(path.parent, []).append(path)
    samples = Clips(list(clips.values()), size, strokes, options.seed, options.upsample_ratio)
    flow = "dis" if options.pwcnet_path is None else "pwcnet"
    estimate = create_flow(flow, options.pwcnet_path)
    task = TrainSSNet(cpnet, ssnet, samples, estimate, recipe, published=options.arrangement == "published")
    _train(task, options, quiet)


def _train(task: Task, options: argparse.Namespace, quiet: bool) -> None:
    from co2net.devices import choose_device
    from co2net.training.jobs import train_on
    from co2net.training.loop import LoopSettings

    settings = LoopSettings(time_limit=options.time_limit, quiet=options.quiet)
    summary = train_on(choose_device(options.device), task, settings, options.save_path)
    if not quiet:
        report(summary, options.save_path)
        print(options.save_path / task.result)
