"""Kill real commands at random moments: ``python tests/attack/kills.py --count 100``.

Each command runs in a copy of this process (the libraries are loaded once), is sent SIGKILL, SIGTERM, SIGINT or SIGHUP
at a random moment of its usual time, and may leave: nothing under its output's name, what was there before, or the
whole result, byte for byte. Anything else is a finding. After SIGTERM, SIGINT and SIGHUP nothing hidden may be left
beside it either; what SIGKILL leaves, the next run must clear away.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import av
import numpy as np

SIZE = (96, 64)
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def prepare(folder: Path) -> dict[str, tuple[list[str], str]]:
    """Inputs, and the commands by name with what they write."""
    from video import clips

    source = folder / "in"
    source.mkdir(parents=True)
    clips.make_video(source / "c.mp4", 12, SIZE, sound="aac")
    clips.make_folder(source / "frames", [clips.picture(*SIZE, n) for n in range(12)], "f.{:04d}.png")
    clips.make_folder(source / "masks", [np.roll(clips.disc(*SIZE), n, 1) for n in range(12)], "m.{:04d}.png")
    for n in range(3):
        clips.make_folder(source / "photos", [clips.picture(*SIZE, 9 * n)], f"p{n}.png")
        clips.make_folder(source / "mattes", [clips.disc(*SIZE)], f"p{n}.png")
    clip, frames, masks = str(source / "c.mp4"), str(source / "frames"), str(source / "masks")
    return {
        "video": (["harmonize", clip, "--mask", masks, "--quality", "20"], "o.mp4"),
        "lossless": (["harmonize", clip, "--mask", masks], "o.mkv"),
        "folder": (["harmonize", frames, "--mask", masks, "--cube", "{out}.cube"], "o"),
        "sequence": (["harmonize", frames, "--mask", masks, "--frames", "3-8"], "s.%04d.tif"),
        "per shot": (["harmonize", clip, "--mask", masks, "--per-shot", "--cube-per-shot", "{out}.luts"], "o.mov"),
        "pictures": (["harmonize", str(source / "photos"), "--images", "--mask", str(source / "mattes")], "photos"),
        "matte": (["matte", clip, "--from", str(source / "masks" / "m.0001.png")], "m.mkv"),
        "sheet": (["before-after", str(source / "photos"), "--masks", str(source / "mattes")], "sheet.png"),
    }


def state(folder: Path) -> dict[str, str]:
    """Every file of a folder with a hash of its content."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): _hash(path) for path in files}


def _hash(path: Path) -> str:
    found = hashlib.sha256()
    if path.suffix != ".mkv" or path.name.startswith("."):
        found.update(path.read_bytes())
        return found.hexdigest()
    try:  # Matroska files carry a random number: their packets count
        with av.open(str(path)) as container:
            for packet in container.demux():
                found.update(f"{packet.stream_index} {packet.pts} {packet.size} ".encode() + bytes(packet))
    except (av.FFmpegError, OSError) as error:
        return f"damaged: {error}"
    return found.hexdigest()


def start(words: list[str], output: Path) -> int:
    """Run a command in a copy of this process; returns its number."""
    arguments = [word.replace("{out}", str(output)) for word in words]
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.setpgid(0, 0)
        sink = os.open(output.parent.parent / "screen.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        from co2net.cli import main

        code = main([*arguments, "-o", str(output)])
        sys.stdout.flush()
    except Exception:  # noqa: BLE001  # the parent looks for it
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def hidden(files: dict[str, str]) -> list[str]:
    """Those that are only there while something is written."""
    return [name for name in files if ".partial-" in name or name.endswith(".lock")]


def main() -> int:
    """Read the words, kill, and tell what was found."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--count", type=int, default=100)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--folder", type=Path)
    options = words.parse_args()
    import torch

    torch.set_num_threads(1)
    import co2net.cli.before_after
    import co2net.cli.harmonize
    import co2net.cli.matte
    import co2net.matting
    import co2net.pipeline.harmonize  # noqa: F401

    folder = options.folder or Path(tempfile.mkdtemp(prefix="kills"))
    commands = prepare(folder)
    random, findings, early = np.random.default_rng(options.seed), [], 0
    wholes: dict[str, tuple[dict[str, str], float]] = {}
    for name, (arguments, output) in commands.items():
        place = folder / name / "out"
        place.mkdir(parents=True)
        began = time.monotonic()
        code = os.waitstatus_to_exitcode(os.waitpid(start(arguments, place / output), 0)[1])
        wholes[name] = state(place), time.monotonic() - began
        if code:
            print(f"{name}: exit code {code} by itself: {(folder / name / 'screen.txt').read_text()[-600:]}")
            return 1
    for number in range(options.count):
        name = list(commands)[number % len(commands)]
        arguments, output = commands[name]
        place, (whole, seconds) = folder / name / "out", wholes[name]
        before = state(place)
        if number // len(commands) % 2:  # every other time nothing is there
            for path in sorted(place.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            before = {}
        process = start(arguments, place / output)
        time.sleep(float(random.uniform(0, 1.1 * seconds)))
        sign = SIGNALS[int(random.integers(len(SIGNALS)))]
        os.kill(process, sign)
        deadline = time.monotonic() + 60
        while (ended := os.waitpid(process, os.WNOHANG))[0] == 0:
            if time.monotonic() > deadline:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                findings.append(f"{number} {name}: not ended 60 s after {sign.name}")
                break
            time.sleep(0.02)
        after = state(place)
        early += 1
        ended_by = os.waitstatus_to_exitcode(ended[1]) if ended[0] else None
        said = (folder / name / "screen.txt").read_text(errors="replace")
        if "Traceback" in said:
            findings.append(f"{number} {name} after {sign.name}: {said[-300:]!r}")
        left = hidden(after)
        if left and sign != signal.SIGKILL:
            findings.append(f"{number} {name}: {left} left after {sign.name} (ended by {ended_by})")
        # "pictures" and "sequence" may be there in part: whole files, each in its own place.
        for path, found in after.items():
            if path not in left and found not in (whole.get(path), before.get(path)):
                findings.append(f"{number} {name}: {path} is half-written after {sign.name}")
    for name, (arguments, output) in commands.items():
        place, (whole, _) = folder / name / "out", wholes[name]
        os.waitpid(start(arguments, place / output), 0)
        after = state(place)
        if hidden(after):
            findings.append(f"{name}: the next run leaves {hidden(after)}")
        if {path: found for path, found in after.items() if path in whole} != whole:
            findings.append(f"{name}: the next run's result differs")
    for found in findings:
        print(found)
    print(f"{early} ended early or whole, {len(findings)} findings")
    return int(bool(findings))


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[1]
    sys.path[:0] = [str(here), str(here.parent)]
    sys.exit(main())
