"""Train the refinement on video clips (stage 2). See `--help` for examples."""

import sys

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli.train_refinement import main

if __name__ == "__main__":
    sys.exit(main())
