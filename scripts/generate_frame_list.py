"""Write the frame list of a clip list: one line per frame, "real mask composite", relative to the data set's folder.

Examples:
  python scripts/generate_frame_list.py --dataset_path HYouTube --list_name train_list.txt --write_name my_frames.txt
  python scripts/generate_frame_list.py --dataset_path sample_data --list_name test_list.txt --write_name frames.txt
"""

import argparse
import sys
import warnings
from pathlib import Path

import checkout  # noqa: F401  (finds co2net where it is not installed)


def main() -> int:
    """Run the command; 0 if the list was written, 2 if the input cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_path", required=True, help="folder of the data set")
    parser.add_argument("--list_name", required=True, help="clip list, relative to the data set's folder")
    parser.add_argument("--write_name", required=True, help="frame list to write, relative to the current folder")
    parser.add_argument(
        "--check_pictures", action="store_true", help="also open every picture: sizes, masks, damage (slow)"
    )
    options = parser.parse_args()

    from co2net.data import check_pictures, expand_clip_list, frame_line
    from co2net.errors import InputError
    from co2net.files import write_beside

    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    try:
        entries = expand_clip_list(Path(options.dataset_path, options.list_name), options.dataset_path)
        if options.check_pictures and (problems := check_pictures(entries)):
            print(*problems, sep="\n", file=sys.stderr)
            raise InputError(f"{len(problems)} problem(s) in the pictures of {options.list_name}; no list written")
        write_beside(options.write_name, "".join(frame_line(entry, options.dataset_path) + "\n" for entry in entries))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.write_name}: {len(entries)} frames", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
