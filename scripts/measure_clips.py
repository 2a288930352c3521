"""Measure the shipped model on real clips with masks, beside classical color transfer. See `--help` for examples."""

from __future__ import annotations

import sys

from co2net.cli.measure_clips import main

if __name__ == "__main__":
    sys.exit(main())
