"""Predict a folder of pictures with CDTNet or DucoNet, with the published command lines. See `--help` for examples."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # also runs from a checkout that is not installed

from co2net.cli.predict_images import main

if __name__ == "__main__":
    sys.exit(main())
