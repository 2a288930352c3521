"""``scripts/train.py`` and ``co2net train images``: networks for single pictures, with the published command lines."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from co2net.cli.options import add_device, add_quiet, run_script, words
from co2net.cli.training_options import add_time_limit, at_least, positive, report, spoken_by_first
from co2net.errors import InputError

if TYPE_CHECKING:
    from co2net.training.image_pairs import PairsConfig

DESCRIPTION = """\
Train CDTNet or DucoNet on iHarmony4 by its published recipe. The model script's name chooses it; where the data is says
config.yml. A stopped run goes on with --resume-exp NNN.
"""
EXAMPLES = """\
examples:
  {command} models/DucoNet_256.py --workers=8 --gpus=0,1 --exp-name=DucoNet_256 --batch-size=64
  {command} models/DucoNet_1024.py --workers=8 --gpus=2,3 --exp-name=DucoNet_1024 --batch-size=4
  {command} models/CDTNet.py --hr_w 1024 --hr_h 1024 --lr 256 --batch_size 4 --weights ./issam256.pth --n_lut 4
  {command} models/CDTNet.py --resume-exp 000           # goes on with experiment 000

config.yml:
  EXPS_PATH: experiments
  HCOCO_PATH: /data/iHarmony4/HCOCO        # HFLICKR_PATH, HDAY2NIGHT_PATH, HADOBE5K_PATH; HADOBE5K1_PATH: full size
"""
EXPERIMENT = "CO2NET_EXPERIMENT"  # environment variable, from the process that starts others to them
ALL_SETS = "HFlickr,HDay2Night,HCOCO,HAdobe5k"


@dataclass(frozen=True)
class Script:
    """What a published model script stands for.

    Attributes:
        backbone, recipe: what to train.
        train, validation: sub-sets.
        numbered: every so many epochs a numbered checkpoint is kept.
        show_every: steps between pictures.
    """

    backbone: str
    recipe: str
    train: str = ALL_SETS
    validation: str = ALL_SETS
    numbered: int = 1
    show_every: int = 100


SCRIPTS = {
    "cdtnet": Script("cdtnet", "1024", "HDay2Night,HFlickr,HCOCO,HAdobe5k", "HDay2Night,HFlickr,HCOCO,HAdobe5k"),
    "duconet_256": Script("duconet", "paper", numbered=10, show_every=1000),
    "duconet_1024": Script("duconet", "1024", "HAdobe5k1", "HAdobe5k1", numbered=10, show_every=1000),
}


def add_options(p: argparse.ArgumentParser, command: str) -> None:
    """Describe and add the options; `command` is what the examples call."""
    p.description, p.epilog = DESCRIPTION, EXAMPLES.format(command=command)
    p.add_argument("model_path", help="models/CDTNet.py, models/DucoNet_256.py or models/DucoNet_1024.py")
    run = p.add_argument_group("run")
    run.add_argument("--exp-name", default="", help="end of the experiment folder's name")
    run.add_argument("--datasets", help=f"sub-sets, joined by commas (default {ALL_SETS}; DucoNet_1024: HAdobe5k1)")
    run.add_argument("--val-datasets", help="sub-sets to validate on; default: those of --datasets")
    run.add_argument("--workers", type=int, default=4, help="processes that read pictures (default 4)")
    run.add_argument(
        "--batch-size", type=int, default=-1, help="pictures in a step; below 1: 16 of DucoNet, 4 of CDTNet"
    )
    run.add_argument("--epochs", type=int, help="passes over the data (default 120)")
    run.add_argument("--ngpus", type=int, default=1, help="number of GPUs; with --device cpu of processes")
    run.add_argument("--gpus", default="", help="their numbers, joined by commas; none here: the CPU")
    add_device(run)
    add_time_limit(run)
    run.add_argument("--seed", type=int, default=0)
    add_quiet(run)
    start = p.add_argument_group("start")
    start.add_argument("--weights", help="weights to start from; may hold a part, such as an iSSAM generator")
    start.add_argument("--resume-exp", metavar="PREFIX", help="go on with the experiment whose name begins so")
    start.add_argument(
        "--resume-prefix",
        default="latest",
        help="of the checkpoint: latest goes on exactly; a number starts another experiment from those weights",
    )
    start.add_argument("--start-epoch", type=int, default=0, help="epochs that count as done")
    net = p.add_argument_group("network")
    net.add_argument("--lr", type=float, help="CDTNet: the base size (256, 512); DucoNet: the learning rate")
    net.add_argument("--base-size", type=int, help="CDTNet: the same as its --lr")
    net.add_argument("--learning-rate", type=float, help="of either network (default 1e-3)")
    net.add_argument("--hr-h", type=int, help="CDTNet: height of the pictures (default 1024)")
    net.add_argument("--hr-w", type=int, help="CDTNet: width of the pictures (default 1024)")
    net.add_argument("--is-sim", action="store_true", help="CDTNet: simplified, the LUT alone")
    net.add_argument("--finetune-base", action="store_true", help="CDTNet: train the generator too")
    net.add_argument("--n-lut", type=int, default=4, help="CDTNet: number of LUTs")
    net.add_argument("--control-module-start", type=int, default=-1, help="DucoNet: first step with a control module")
    p.set_defaults(run=run_images)


def main(argv: list[str] | None = None) -> int:
    """Run the script; returns the exit code."""
    given = sys.argv[1:] if argv is None else argv

    def add(p: argparse.ArgumentParser, command: str) -> None:
        add_options(p, command)
        p.set_defaults(run=partial(run_images, itself=[sys.argv[0], *given]))

    return run_script("train.py", add, given)


def run_images(options: argparse.Namespace, itself: Sequence[str] = ()) -> None:
    """Train, in as many processes as there are GPUs to be used; only the first of them speaks.

    Args:
        options: what was asked for.
        itself: how Python starts this command; the installed one by default.
    """
    _script(options.model_path)
    count = _gpus(options)
    if count > 1 and "WORLD_SIZE" not in os.environ:
        # One name for all processes: the next free number is another one as soon as the first has made its folder.
        os.environ[EXPERIMENT] = str(_experiment(options, _experiments(options))[0])
        starter = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        itself = itself or ["-m", "co2net", *sys.argv[1:]]
        raise SystemExit(subprocess.call([*starter, *itself]))  # noqa: S603  (this very command)
    _run(options)


def _script(path: str) -> Script:
    name = Path(path).stem.lower()
    if name not in SCRIPTS:
        raise InputError(f"{path}: no model script of that name; known: CDTNet.py, DucoNet_256.py, DucoNet_1024.py")
    return SCRIPTS[name]


def _gpus(options: argparse.Namespace) -> int:
    """Choose the GPUs that were asked for; returns how many processes that makes, with ``--device cpu`` on the CPU."""
    asked = words(options.gpus)
    if wrong := [number for number in asked if not number.isdecimal()]:
        raise InputError(f"--gpus {options.gpus}: {wrong[0]} is no number of a GPU; write such as 0,1")
    at_least(options, 1, "ngpus")
    asked = asked or [*map(str, range(options.ngpus))]
    if options.device == "cpu":
        return len(asked)
    if options.device not in ("auto", "cuda"):
        return 1  # one that is named: cuda:1, mps
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", ",".join(asked))  # before CUDA is asked anything

    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not there:
        if options.gpus and options.device == "auto" and not int(os.environ.get("RANK", "0")):
            print(f"co2net: note: --gpus {options.gpus}: no CUDA here, training on the CPU", file=sys.stderr)
        return 1
    if there < len(asked):
        raise InputError(f"--gpus {','.join(asked)}: only {there} of these GPUs can be used here; name those")
    return len(asked)


@spoken_by_first
def _run(options: argparse.Namespace, quiet: bool) -> None:
    import torch

    from co2net.data.config_file import find_checkpoint, merged_config, read_sub_sets
    from co2net.devices import choose_device
    from co2net.models.registry import start_backbone
    from co2net.processes import process_group
    from co2net.training.image_pairs import HowToSave, PairsTask
    from co2net.training.loop import LoopSettings, train

    at_least(options, 0, "workers", "seed", "start_epoch")
    at_least(options, 1, "hr_h", "hr_w", "n_lut", "epochs")
    positive(options, "lr", "learning_rate")
    script, config = _script(options.model_path), merged_config(options.model_path)
    for key, value in config.items():  # as published, keys of the file win over options of the same name
        if key.lower() in vars(options) and key.lower() not in ("model_path", "run", "flags"):
            setattr(options, key.lower(), value)
    names = options.datasets or script.train
    entries = [e for found in read_sub_sets(config, names, "train").values() for e in found]
    held_out = options.val_datasets or (options.datasets or script.validation)
    validation = [e for found in read_sub_sets(config, held_out, "test").values() for e in found]
    pairs = _config(options, script)
    folder, weights = _experiment(options, _experiments(options))
    folder = Path(os.environ.get(EXPERIMENT, folder))
    weights = weights or (find_checkpoint(options.weights, config) if options.weights else None)
    torch.manual_seed(pairs.seed)
    network, missing = start_backbone(pairs.backbone, weights, **pairs.settings)
    if missing and not quiet:
        print(f"co2net: note: {weights} does not hold {missing}; these start anew", file=sys.stderr)
    task = PairsTask(
        network, entries, validation, pairs, HowToSave(options.workers, script.numbered, script.show_every)
    )
    with process_group(choose_device(options.device)) as processes:
        if processes.first:
            folder.mkdir(parents=True, exist_ok=True)
            if Path(options.model_path).is_file():
                stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
                shutil.copy(options.model_path, folder / f"{Path(options.model_path).stem}_{stamp}.py")
            if not quiet:
                rate = task.learning_rate
                print(f"{folder}: {len(entries)} pictures, {task.steps} steps of {pairs.batch}, rate {rate:g}")
        processes.wait()
        settings = LoopSettings(25, 5000, time_limit=options.time_limit, quiet=options.quiet)
        summary = train(task, settings, folder, processes)
    if not quiet:
        report(summary, folder)
        for name, value in summary.progress.last_scores.items():
            print(f"{name.upper()} on {len(validation)} held-out pictures: {value:.4f}")


def _config(options: argparse.Namespace, script: Script) -> PairsConfig:
    from co2net.training.image_pairs import recipe_pairs

    pairs = recipe_pairs(script.backbone, script.recipe)
    rate = options.learning_rate
    if script.backbone == "cdtnet":
        base = options.base_size or options.lr or 256
        if base != int(base):
            raise InputError(f"--lr {base}: of CDTNet it is the base size, such as 256; the rate is --learning-rate")
        pairs.settings = {"base_size": int(base), "luts": options.n_lut, "simplified": options.is_sim}
        pairs.height, pairs.width = options.hr_h or pairs.height, options.hr_w or pairs.width
        if options.finetune_base:
            pairs.frozen = ()
    else:
        pairs.settings = {"control_module_start": options.control_module_start}
        rate = rate or options.lr
    if options.batch_size >= 1:
        pairs.batch = options.batch_size
    elif script.backbone == "duconet":
        pairs.batch = 16  # the published default, which the published commands do not use
    pairs.learning_rate = rate or pairs.learning_rate
    pairs.epochs, pairs.first_epoch = options.epochs or pairs.epochs, options.start_epoch
    pairs.seed = options.seed
    return pairs


def _experiments(options: argparse.Namespace) -> Path:
    from co2net.data.config_file import merged_config

    return Path(str(merged_config(options.model_path).get("EXPS_PATH") or "experiments"))


def _experiment(options: argparse.Namespace, exps: Path) -> tuple[Path, Path | None]:
    """The experiment's folder, and a numbered checkpoint to start from."""
    parts = Path(options.model_path).with_suffix("").parts
    below = parts[parts.index("models") + 1 :] if "models" in parts else parts[-1:]
    parent = exps.joinpath(*below)
    there = sorted(path.name for path in parent.glob("*") if re.match(r"\d{3}", path.name))
    weights = None
    if options.resume_exp is not None:
        found = [name for name in there if name.startswith(options.resume_exp)]
        if len(found) != 1:
            raise InputError(
                f"--resume-exp {options.resume_exp}: {len(found)} experiments in {parent} begin so; there are: "
                f"{', '.join(there) or 'none'}"
            )
        if options.resume_prefix in ("latest", "last", "last_checkpoint"):
            return parent / found[0], None
        kept = sorted((parent / found[0] / "checkpoints").glob(f"{options.resume_prefix}*.pth"))
        if len(kept) != 1:
            raise InputError(
                f"--resume-prefix {options.resume_prefix}: {len(kept)} checkpoints of {found[0]} begin so; give latest "
                "or the number of one"
            )
        (weights,) = kept
    number = 1 + int(there[-1][:3]) if there else 0
    return parent / f"{number:03d}_{options.exp_name}".rstrip("_"), weights
