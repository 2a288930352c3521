"""Masks and composites of frames by a trained matting U-Net, with the published flags. See `--help`."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli.matting_data import predict_main

if __name__ == "__main__":
    sys.exit(predict_main())
