"""``co2net doctor``: what runs here, and why not what does not."""

from __future__ import annotations

import argparse
import json


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    p = verbs.add_parser(
        "doctor",
        help="say what runs on this machine: versions, devices, kernels, encoders, extras, weights",
        description="Say what runs on this machine: versions, devices, kernels, encoders, extras, weights and disk.",
    )
    p.add_argument("--json", action="store_true", help="for programs")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the report."""
    from co2net.pipeline.doctor import as_text, examine

    report = examine()
    print(json.dumps(report, indent=2) if options.json else as_text(report))
