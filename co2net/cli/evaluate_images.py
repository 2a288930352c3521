"""``scripts/evaluate_model.py NETWORK FILE``: single pictures of iHarmony4, with the published command lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from co2net.cli.options import add_device, add_quiet, device_name, run_script

if TYPE_CHECKING:
    import torch

    from co2net.evaluation.images import ImagesRun, Protocol
    from co2net.models.backbones import Backbone

DESCRIPTION = """\
Score a network for single pictures on iHarmony4, sub-set by sub-set; where the data is says config.yml.
"""
EXAMPLES = """\
examples:
  {command} DucoNet DucoNet256.pth --resize-strategy Fixed256 --gpu 0
  {command} DucoNet DucoNet1024.pth --resize-strategy Fixed1024 --gpu 1 --datasets HAdobe5k1
  {command} CDTNet HAdobe5k_2048.pth --hr_w 2048 --hr_h 2048 --lr 512 --datasets HAdobe5k
  {command} CDTNet iHarmony4_256.pth --resize-strategy Fixed256 --fg-ratios --output runs/cdtnet
"""
RATIOS = """\
As evaluate_model.py of single pictures, with a table by the foreground's share of the picture (0-5, 5-15, 15-100 %).
"""
ALL_SETS = "HFlickr,HDay2Night,HCOCO,HAdobe5k"
SETS = {"cdtnet": "HAdobe5K", "duconet": "HFlickr,HDay2Night,HCOCO,HAdobe5k1"}


def add_network(p: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Which network, where its files are, at which size; the group of the published flags is returned."""
    p.add_argument("model_type", help="CDTNet, DucoNet, or another name from `co2net models`")
    p.add_argument("checkpoint", help="weights: a path, a name below MODELS_PATH, or FOLDER:NAME; ending optional")
    known = p.add_argument_group("flags of the originals")
    known.add_argument("--hr-h", type=int, help="height of the pictures (CDTNet: default 1024)")
    known.add_argument("--hr-w", type=int, help="width of the pictures (CDTNet: default 1024)")
    known.add_argument("--lr", type=int, help="CDTNet: the base size (default 256)")
    known.add_argument("--is-sim", action="store_true", help="CDTNet: simplified, the LUT alone")
    known.add_argument("--gpu", metavar="N", help="number of the GPU; without one here, the CPU computes")
    known.add_argument("--config-path", default="./config.yml", help="configuration file (default ./config.yml)")
    return known


def _add_options(p: argparse.ArgumentParser, command: str) -> None:
    p.description, p.epilog = DESCRIPTION, EXAMPLES.format(command=command)
    known = add_network(p)
    known.add_argument("--datasets", help="sub-sets, joined by commas (default CDTNet: HAdobe5K, else all four)")
    known.add_argument(
        "--resize-strategy", help="None, LimitLongest1024, Fixed256 (default but for CDTNet), 512, 1024 or 2048"
    )
    known.add_argument("--use-flip", action="store_true", help="average with the result for the mirrored picture")
    known.add_argument("--save-dir", "--results-path", default="", help="write results there, as JPEG of quality 100")
    known.add_argument("--eval-prefix", default="", help="ignored, as in the originals")
    new = p.add_argument_group("new")
    new.add_argument("--fg-ratios", action="store_true", help="also a table by the foreground's share of the picture")
    new.add_argument("--output", metavar="FOLDER", help="results.json, report; finished sub-sets are not done again")
    new.add_argument("--overwrite", action="store_true", help="do everything anew")
    add_device(new)
    add_quiet(new, "no progress bar, no notes")
    p.set_defaults(logs="evaluation_logs", run=_run)


def _add_ratio_options(p: argparse.ArgumentParser, command: str) -> None:
    """Of ``scripts/evaluate_model_fg_ratios.py``."""
    _add_options(p, command)
    p.description, p.epilog = RATIOS, None
    p.set_defaults(fg_ratios=True, logs="evaluation_results", datasets=ALL_SETS)


main = partial(run_script, "evaluate_model.py", _add_options)
ratios_main = partial(run_script, "evaluate_model_fg_ratios.py", _add_ratio_options)


def create_network(options: argparse.Namespace) -> tuple[str, Backbone, Path, Mapping[str, Any]]:
    """The network's registered name, itself, its file and the configuration, of the options of :func:`add_network`."""
    from co2net.data.config_file import find_checkpoint, read_config
    from co2net.models.registry import create_backbone

    name = _network(options.model_type)
    config = read_config(options.config_path, options.model_type)
    weights = find_checkpoint(options.checkpoint, config)
    return name, create_backbone(name, weights, **_settings(options, name)), weights, config


def _settings(options: argparse.Namespace, name: str) -> dict[str, Any]:
    return {"base_size": options.lr or 256, "simplified": options.is_sim} if name == "cdtnet" else {}


def _run(options: argparse.Namespace) -> None:
    from co2net.cli.progress import FrameBar
    from co2net.data.config_file import read_sub_sets
    from co2net.devices import choose_device
    from co2net.evaluation.images import evaluate_images, table_text
    from co2net.provenance import state_sha256

    name, network, weights, config = create_network(options)
    sets = read_sub_sets(config, options.datasets or SETS.get(name, SETS["duconet"]), "test")
    protocol, device = _protocol(options, name), choose_device(device_name(options, or_cpu=True))
    output = Path(options.output) if options.output else None
    conditions = {
        "network": name,
        **_settings(options, name),
        "weights": state_sha256(network.state_dict()),
    }
    with FrameBar(quiet=options.quiet, device=device) as bar:
        run = evaluate_images(
            network,
            sets,
            protocol,
            device=device,
            conditions=conditions,
            output=output,
            save_dir=Path(options.save_dir) if options.save_dir else None,
            overwrite=options.overwrite,
            on_progress=bar.update,
        )
    text = table_text(run.table())
    if options.fg_ratios:
        text += f"\n\n{table_text(run.ratio_table())}"
    print(text)
    _log(text, weights, options, config)
    for path in _report(run, network, weights, options, device, output, options.quiet):
        print(path)


def _network(model_type: str) -> str:
    from co2net.errors import InputError
    from co2net.models.backbones import BACKBONES

    if model_type.lower() not in BACKBONES:
        raise InputError(f"unknown network {model_type}; known: {', '.join(c.title for c in BACKBONES.values())}")
    return model_type.lower()


def _protocol(options: argparse.Namespace, name: str) -> Protocol:
    from co2net.evaluation.images import Protocol

    if shape := asked_shape(options, name, "resize_strategy"):
        return Protocol(shape, use_flip=options.use_flip)
    return Protocol(None, options.resize_strategy or "Fixed256", options.use_flip)


def asked_shape(options: argparse.Namespace, name: str, other: str) -> tuple[int, int] | None:
    """Height and width by ``--hr_h`` and ``--hr_w``, which CDTNet has unless `other` is given; None where that counts.

    Raises:
        InputError: both were given.
    """
    from co2net.errors import InputError

    height, width = options.hr_h or options.hr_w or 1024, options.hr_w or options.hr_h or 1024
    sized, given = options.hr_h or options.hr_w, getattr(options, other)
    if sized and given:
        raise InputError(f"{options.flags[other]} and --hr_h with --hr_w both choose the size; give one of them")
    return (height, width) if sized or (name == "cdtnet" and not given) else None


def _log(text: str, weights: Path, options: argparse.Namespace, config: Mapping[str, Any]) -> None:
    """The tables in the experiments' folder, as published; without one they are printed only."""
    import time

    from co2net.files import make_folder, write_beside

    if not config.get("EXPS_PATH"):
        return
    folder = Path(str(config["EXPS_PATH"])) / options.logs
    make_folder(folder)
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    asked = f"{options.model_type} {options.checkpoint}, {options.datasets or 'the usual sub-sets'}"
    write_beside(folder / f"{weights.stem}_{stamp}.log", f"{asked}\n{text}\n")


def _report(
    run: ImagesRun,
    network: Backbone,
    weights: Path,
    options: argparse.Namespace,
    device: torch.device,
    output: Path | None,
    quiet: bool,
) -> list[Path]:
    """The same report as of clips, with the published rows of iHarmony4."""
    from importlib.util import find_spec

    from co2net.evaluation.images import RESULT, TASK
    from co2net.evaluation.report import write_report
    from co2net.evaluation.results import make_results, write_results
    from co2net.evaluation.run import NO_REPORT
    from co2net.provenance import environment, file_sha256

    if output is None:
        return []
    given = {name: value for name, value in vars(options).items() if value not in (None, "", False)}
    shown = {name: value for name, value in given.items() if name not in ("flags", "logs", "run")}
    results = make_results(
        run.records,
        methods=["composite", RESULT],
        title=f"{network.title} ({weights.name}) on {', '.join(record['clip'] for record in run.records)}",
        protocol=run.protocol.sentences(),
        settings={**shown, "size": run.protocol.square},
        environment=environment(device),
        weights=[{"role": "network", "name": weights.name, "sha256": file_sha256(weights)}],
        task=TASK,
    )
    written = write_results(output, results)
    if find_spec("jinja2"):
        written += write_report(output)
    elif not quiet:
        print(NO_REPORT, file=sys.stderr)
    return written
