"""Score pictures of iHarmony4 by the share of their foreground, with the published command line. See `--help`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # also runs from a checkout that is not installed

from co2net.cli.evaluate_images import ratios_main

if __name__ == "__main__":
    sys.exit(ratios_main())
