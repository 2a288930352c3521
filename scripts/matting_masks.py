"""Moving masks of frames, with the published flags. See `--help`."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli.matting_data import masks_main

if __name__ == "__main__":
    sys.exit(masks_main())
