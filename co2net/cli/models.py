"""``co2net models``: which weights are there, trained on what, measured how."""

from __future__ import annotations

import argparse
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from co2net.models.releases import Release


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "models",
        help="list the networks and the weights that ship",
        description="List the networks and the weights that ship: trained on what, measured how.",
    )
    p.add_argument("name", nargs="?", help="print the whole card of one weight file")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the list, or one card."""
    from co2net.errors import InputError
    from co2net.models.registry import default_model_path, list_backbones, list_releases

    releases = list_releases()
    default = None
    with contextlib.suppress(InputError):  # a folder of one's own need not hold a default
        default = default_model_path()
    if options.name:
        for release in releases:
            if release.name == options.name:
                print(release.card or f"{release.name} has no card")
                return
        raise InputError(f"no weights named {options.name}; there are: {', '.join(r.name for r in releases) or 'none'}")
    print(f"backbones: {', '.join(list_backbones())}")
    if not releases:
        print("weights: none ship with this installation; give a file with --weights")
    for release in releases:
        mark = ", the default" if release.path == default else ""
        print(
            f"\n{release.name}  ({release.backbone or 'unknown network'}: {_parts(release)}, "
            f"{release.training_size} px{mark})"
        )
        for key, value in {**release.advice, **release.facts}.items():
            print(f"  {key.replace('_', ' ')}: {value}")
    print("\nUse one with `co2net harmonize --weights NAME`; read its card with `co2net models NAME`.")


def _parts(release: Release) -> str:
    from co2net.color_mapping.mappings import MAPPINGS

    if release.mapping in MAPPINGS and MAPPINGS[release.mapping].needs_prediction:
        return "predicts the color mapping"
    return "backbone and refinement" if release.refinement else "backbone; the color mapping follows from it"
