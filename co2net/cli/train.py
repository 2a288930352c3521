"""``co2net train``: one sub-command per network or stage."""

from __future__ import annotations

import argparse

from co2net.cli import train_backbone, train_colorization, train_guess, train_images, train_matting, train_refinement


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "train",
        help="train a network: backbone (stage 1), refinement (stage 2), images, cpnet, ssnet, guess, matting",
        description="Train a backbone on single frames (stage 1), then the refinement on clips (stage 2); networks for "
        "single pictures by their published recipes; SVCNet's networks for color, and the guess made without them; the "
        "U-Net of moving masks.",
    )
    stages = p.add_subparsers(dest="stage", metavar="STAGE", required=True)
    for name, module in (("backbone", train_backbone), ("refinement", train_refinement), ("images", train_images)):
        stage = stages.add_parser(name, help=module.DESCRIPTION)
        module.add_options(stage, f"co2net train {name}")
    for name in ("cpnet", "ssnet"):
        stage = stages.add_parser(name, help=train_colorization.DESCRIPTIONS[name])
        train_colorization.add_options(stage, f"co2net train {name}", name)
    stage = stages.add_parser("guess", help=train_guess.DESCRIPTION)
    train_guess.add_options(stage, "co2net train guess")
    stage = stages.add_parser("matting", help=train_matting.DESCRIPTION)
    train_matting.add_options(stage, "co2net train matting")
