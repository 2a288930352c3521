"""``co2net train backbone`` and ``refinement``, the two stages of training, and ``images``: single pictures."""

from __future__ import annotations

import argparse

from co2net.cli import train_backbone, train_colorization, train_images, train_matting, train_refinement


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "train",
        help="train a backbone (stage 1), the refinement (stage 2), or CDTNet or DucoNet on iHarmony4",
        description="Train a backbone on single frames (stage 1), then the refinement on clips (stage 2); or "
        "networks for single pictures by their published recipes.",
    )
    stages = p.add_subparsers(dest="stage", metavar="STAGE", required=True)
    for name, module in (("backbone", train_backbone), ("refinement", train_refinement), ("images", train_images)):
        stage = stages.add_parser(name, help=module.DESCRIPTION)
        module.add_options(stage, f"co2net train {name}")
    for name in ("cpnet", "ssnet"):
        stage = stages.add_parser(name, help=train_colorization.DESCRIPTIONS[name])
        train_colorization.add_options(stage, f"co2net train {name}", name)
    stage = stages.add_parser("matting", help=train_matting.DESCRIPTION)
    train_matting.add_options(stage, "co2net train matting")
