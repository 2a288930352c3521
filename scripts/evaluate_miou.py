"""mIoU of masks of colored clips, with the published flags. See `--help`."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli.color_scribbles import miou_main

if __name__ == "__main__":
    sys.exit(miou_main())
