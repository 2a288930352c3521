"""A sheet of clips colored from points of their own. See `--help`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # also runs from a checkout that is not installed

from co2net.cli.color_scribbles import sheet_main

if __name__ == "__main__":
    sys.exit(sheet_main())
