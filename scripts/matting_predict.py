"""Masks and composites of frames by a trained matting U-Net, with the published flags. See `--help`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # also runs from a checkout that is not installed

from co2net.cli.matting_data import predict_main

if __name__ == "__main__":
    sys.exit(predict_main())
