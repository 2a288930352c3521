"""``scripts/release_weights.py``: from a checkpoint to a file of ``final_models/``."""

from __future__ import annotations

import argparse
from pathlib import Path

from co2net.cli.errors import exit_code
from co2net.cli.options import OptionParser
from co2net.errors import InputError

DESCRIPTION = """\
Write a checkpoint as a .safetensors file that says what it holds and how to use it. With --average-with the file lies
between two checkpoints of one run: a refinement that was trained on few scenes does better on others when it goes only
part of the way from its start. Several checkpoints of lutnet become the members of one file, which are averaged when it
is used.
"""
EXAMPLES = """\
examples:
  python scripts/release_weights.py runs/full/last_checkpoint.pth --mapping paper --training-size 256 \\
      --fact trained_on="HYouTube" --output final_models/co2net_hyoutube.safetensors

  # half way between the start of the quick recipe and its end
  python scripts/release_weights.py runs/quick/last_checkpoint.pth --average-with runs/quick/0.pth --share 0.5 \\
      --mapping smooth --training-size 256 --output released.safetensors

  # two trainings of lutnet with different seeds, and how cautious they are together
  python scripts/release_weights.py runs/a/lutnet.safetensors runs/b/lutnet.safetensors --caution 0.2 \\
      --mapping predicted --training-size 64 --output final_models/lutnet.safetensors
"""


def parser() -> argparse.ArgumentParser:
    """Options of the script."""
    p = OptionParser(prog="release_weights.py", description=DESCRIPTION, epilog=EXAMPLES)
    p.add_argument("checkpoint", type=Path, nargs="+", help="weights to release")
    p.add_argument("-o", "--output", required=True, type=Path, help="file to write, .safetensors")
    p.add_argument("--average-with", type=Path, metavar="START", help="checkpoint of the same network")
    p.add_argument("--share", type=float, default=0.5, help="of the first checkpoint in the average (default 0.5)")
    p.add_argument(
        "--mapping", choices=("paper", "smooth", "predicted"), required=True, help="how its color mapping is used"
    )
    p.add_argument("--training-size", type=int, required=True, help="working size of the networks in pixels")
    p.add_argument("--caution", type=float, help="of lutnet: how readily corrections that it doubts are left out")
    p.add_argument(
        "--fact", action="append", default=[], metavar="NAME=TEXT", help="shown by `co2net models`; may be repeated"
    )
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the script; returns the exit code."""
    return exit_code(lambda: _run(parser().parse_args(argv)))


def _run(options: argparse.Namespace) -> None:
    import torch

    from co2net.models.backbones.lutnet import join_members
    from co2net.models.checkpoints import infer_settings, read_weights
    from co2net.models.weight_header import WeightHeader, save_model_weights
    from co2net.weight_files import average_weights

    if options.output.suffix != ".safetensors":
        raise InputError(f"{options.output}: released weights are .safetensors files; give such a name")
    if options.training_size < 1:
        raise InputError(f"--training-size must be 1 or more, got {options.training_size}")
    facts = {}
    for fact in options.fact:
        name, separator, text = fact.partition("=")
        if not separator or not name or not text:
            raise InputError(f"--fact {fact}: wanted NAME=TEXT")
        facts[name] = text
    files = [read_weights(path) for path in options.checkpoint]
    state = dict(files[0].state)
    if options.average_with:
        if len(files) > 1:
            raise InputError("--average-with takes one checkpoint; several become the members of a file")
        state = average_weights(files[0], read_weights(options.average_with), options.share)
    elif len(files) > 1:
        state = join_members(files)
    if options.caution is not None:
        if "caution" not in state or options.caution < 0:
            raise InputError(f"--caution {options.caution}: it is 0 or more, and for weights of lutnet only")
        state["caution"] = torch.tensor(options.caution)
    found = infer_settings(state)
    if found.backbone is None:
        raise InputError(f"{options.checkpoint[0]} holds no backbone known here; give a checkpoint of a training run")
    header = WeightHeader(
        backbone=found.backbone,
        refinement=found.refinement,
        use_feature=bool(found.use_feature),
        training_size=options.training_size,
        mapping=options.mapping,
        facts=facts,
    )
    save_model_weights(options.output, state, header)
    print(f"{options.output}: {found.backbone}, {'with' if found.refinement else 'without'} refinement")
