r"""Make the composites of one clip with one LUT, changed first as in HYouTube's own example.

The example: clip 003234408d/object_2, LUT 6, contrast 0.1, vibrance 0.5, exposure 0.2, gamma 1.3. Whole data sets are
made by `co2net dataset build`.

Examples:
  python scripts/lut_transfer_sample.py --dataset_path HYouTube --lut LUTs/6.cube --output runs/sample
  python scripts/lut_transfer_sample.py --dataset_path sample_data --clip 3fa1c09aad/object_0 \
      --lut sample_data/look.cube --output runs/sample --contrast 0 --vibrance 0 --exposure 0 --gamma 1
"""

import argparse
import sys
from pathlib import Path

import checkout  # noqa: F401  (finds co2net where it is not installed)

from co2net.cli.errors import exit_code


def main() -> int:
    """Run the command; 0 if the composites were made, 2 if the input cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_path", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--clip", default="003234408d/object_2", help="VIDEO/OBJECT (default: the example's)")
    parser.add_argument("--lut", type=Path, required=True, help="LUT, a .cube file")
    parser.add_argument("--output", type=Path, required=True, help="folder to make, in HYouTube's layout")
    parser.add_argument("--contrast", type=float, default=0.1, help="default 0.1, as in the example")
    parser.add_argument("--vibrance", type=float, default=0.5, help="default 0.5")
    parser.add_argument("--exposure", type=float, default=0.2, help="default 0.2")
    parser.add_argument("--gamma", type=float, default=1.3, help="default 1.3")
    parser.add_argument("--format", choices=("jpg", "png"), default="jpg", help="jpg of quality 75, or png (lossless)")
    options = parser.parse_args()

    def build() -> None:
        from co2net.data.datasets import column_folder
        from co2net.dataset_building import BuildSettings, LutChanges, build_dataset

        changes = LutChanges(options.contrast, options.vibrance, options.exposure, options.gamma)
        real, masks = (column_folder(options.dataset_path, column) for column in (0, 1))
        settings = BuildSettings(changes=changes, format=options.format)
        build_dataset(real, masks, options.lut, options.output, settings, clips=[options.clip])
        print(options.output / "synthetic_composite_videos" / options.clip)

    return exit_code(build)


if __name__ == "__main__":
    sys.exit(main())
