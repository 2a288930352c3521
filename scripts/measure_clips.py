"""Measure the shipped model on real clips with masks, beside classical color transfer. The same as `co2net measure`."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli import main

if __name__ == "__main__":
    sys.exit(main(["measure", *sys.argv[1:]]))
