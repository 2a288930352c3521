"""Scribbles of a clip, with the published flags. See `--help`."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli.color_scribbles import video_main

if __name__ == "__main__":
    sys.exit(video_main())
