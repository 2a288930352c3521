"""``co2net export``: networks for browsers and other runtimes."""

from __future__ import annotations

import argparse

EXAMPLES = """\
examples:
  co2net export lutnet                                # lutnet.onnx: a frame of 128 x 128 in, its LUT out
  co2net export lutnet --apply -o harmonize.onnx      # takes the frame at its own size too, and applies the LUT
  co2net export issam --size 512                      # paints 512 x 512 pixels
  co2net export tonenet --format torch-export         # tonenet.pt2, for torch.export.load

Before a file is kept, its results are compared with PyTorch's. docs/export.md says what goes in and comes out, and has
a page that runs LUTNet in a browser.
"""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the command."""
    p = verbs.add_parser(
        "export",
        help="write a network as ONNX or for torch.export",
        description="Write a network for other programs.",
        epilog=EXAMPLES,
    )
    p.add_argument("name", metavar="NETWORK", help="lutnet, tonenet or issam")
    p.add_argument("--format", choices=("onnx", "torch-export"), default="onnx", help="default: onnx")
    p.add_argument("-o", "--output", help="default: NETWORK.onnx or NETWORK.pt2")
    p.add_argument("--weights", default="default", help="weight file, or a name from `co2net models`")
    p.add_argument(
        "--apply", action="store_true", help="apply the predicted LUT to a frame of any size, by gathers; not for issam"
    )
    p.add_argument("--size", type=int, metavar="S", help="of issam's pictures: S x S (default: its training size)")
    p.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Export, and say what goes in and out."""
    from co2net.cli.options import picked
    from co2net.models.export import export_network

    done = export_network(options.name, **picked(options, "output format weights apply size"))
    for name, shape in done.inputs.items():
        print(f"in   {name}: {' x '.join('any' if n is None else str(n) for n in shape)}")
    for name in done.outputs:
        print(f"out  {name}")
    print(f"{done.path}: differs from PyTorch by {done.difference:.1g} at most")
