"""``co2net release``: from a checkpoint to a file of ``final_models/``."""

from __future__ import annotations

import argparse
from pathlib import Path

from co2net.cli.options import picked

DESCRIPTION = """\
Write a checkpoint as a .safetensors file that says what it holds and how to use it. With --average-with the file lies
between two checkpoints of one run: a refinement that was trained on few scenes does better on others when it goes only
part of the way from its start. Several checkpoints of lutnet become the members of one file, which are averaged when it
is used.
"""
EXAMPLES = """\
examples:
  co2net release runs/full/last_checkpoint.pth --mapping paper --training-size 256 \\
      --fact trained_on="HYouTube" --output final_models/co2net_hyoutube.safetensors

  # half way between the start of the quick recipe and its end
  co2net release runs/quick/last_checkpoint.pth --average-with runs/quick/0.pth --share 0.5 \\
      --mapping smooth --training-size 256 --output released.safetensors

  # two trainings of lutnet with different seeds, and their prior together
  co2net release runs/a/lutnet.safetensors runs/b/lutnet.safetensors --prior 0.2 \\
      --mapping predicted --training-size 64 --output final_models/lutnet.safetensors
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "release", help="write a checkpoint as a weight file to share", description=DESCRIPTION, epilog=EXAMPLES
    )
    p.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT", help="weights to release")
    p.add_argument("-o", "--output", required=True, type=Path, help="file to write, .safetensors")
    p.add_argument("--average-with", type=Path, metavar="START", help="checkpoint of the same network")
    p.add_argument("--share", type=float, default=0.5, help="of the first checkpoint in the average (default 0.5)")
    p.add_argument(
        "--mapping", choices=("paper", "smooth", "predicted"), required=True, help="how its color mapping is used"
    )
    p.add_argument(
        "--training-size",
        type=int,
        required=True,
        help="working size of the networks in pixels; weights of tonenet are brought to it",
    )
    p.add_argument(
        "--prior",
        "--caution",
        type=float,
        help="of lutnet, tonenet: how readily doubtful corrections are weakened",
    )
    p.add_argument("--half", action="store_true", help="round matrices and kernels to 16 bits: half the size")
    p.add_argument(
        "--fact", action="append", default=[], metavar="NAME=TEXT", help="shown by `co2net models`; may be repeated"
    )
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the file and say what it holds."""
    from co2net.errors import InputError
    from co2net.models.releases import write_release

    facts = {}
    for fact in options.fact:
        name, separator, text = fact.partition("=")
        if not separator or not name or not text:
            raise InputError(f"--fact {fact}: wanted NAME=TEXT")
        facts[name] = text
    header = write_release(
        options.checkpoints,
        options.output,
        facts=facts,
        **picked(options, "mapping training_size average_with share prior half"),
    )
    refinement = f"{'with' if header.refinement else 'without'} refinement"
    print(f"{options.output}: {header.backbone} at {header.training_size} pixels, {refinement}")
