"""What does evaluating a frame cost, compared with the paper's way, and does the device wait for data?

On the sample data set at 256 x 256 with 8 + 8 neighbors, in turns within one run: the networks alone in one pass over
a clip; the whole evaluation (decoding, scores in both conventions, records, pictures); the paper's way, which runs the
backbone on all sixteen neighbors of every frame anew (``model.forward``, networks alone).

Usage: python benchmarks/bench_evaluation.py [--rounds 3] [--threads N] [--device cpu]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import save
from tables import evaluation_tables

from co2net.data import read_frame_list
from co2net.data.clips import read_frame
from co2net.data.sample_data import LIST, sample_dataset
from co2net.devices import choose_device
from co2net.evaluation.clip_pass import harmonize_clip, plan_clip
from co2net.evaluation.evaluate import Run, clips_of, evaluate
from co2net.evaluation.settings import EvaluationSettings
from co2net.models.co2net import CO2Net
from co2net.models.registry import load_model

PAPER_FRAMES = 2  # per round: each takes seventeen backbone passes
PASSES = 10  # per round, of the backbone by itself


def timed(device: torch.device, call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of a call, the device's work included, and its result."""
    synchronize = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    synchronize()
    started = time.perf_counter()
    result = call()
    synchronize()
    return time.perf_counter() - started, result


@torch.inference_mode()
def measure(model: CO2Net, device: torch.device, rounds: int) -> list[dict[str, Any]]:
    """All alternatives in turns; seconds per frame, medians over rounds."""
    root = sample_dataset()
    clips = clips_of(read_frame_list(root / LIST, root))
    settings = EvaluationSettings()
    plan = plan_clip(clips[0], settings.previous, settings.future, settings.step)
    frames = [read_frame(entry) for entry in plan.reading]
    place = {entry.number: i for i, entry in enumerate(plan.reading)}
    images = torch.stack([frame.composite for frame in frames]).to(device)
    masks = torch.stack([frame.mask for frame in frames]).to(device)
    batch = settings.batch_on(device)

    def one_pass() -> None:
        for _ in harmonize_clip(model, plan, iter(frames), batch_size=batch):
            pass

    def papers_way(number: int) -> None:
        listed = plan.listed[number % len(plan.listed)]
        near = [place[n] for n, times in listed.neighbors.items() for _ in range(times)]
        own = place[listed.entry.number]
        model(images[own : own + 1], masks[own : own + 1], images[near][None], masks[near][None])

    def whole(workers: int | None) -> Run:
        with tempfile.TemporaryDirectory() as folder:
            chosen = EvaluationSettings(workers=workers)
            return evaluate(model, clips, chosen, conditions={}, output=Path(folder))

    seconds: dict[str, list[float]] = {}
    idle: dict[str, list[float]] = {}
    for round_number in range(rounds + 1):  # the first warms up
        found: dict[str, float] = {}
        passes = [timed(device, lambda: model.run_backbone(images[:batch], masks[:batch]))[0] for _ in range(PASSES)]
        found["one backbone pass"] = statistics.mean(passes) / len(images[:batch])
        found["one pass over the clip, networks"] = timed(device, one_pass)[0] / len(plan.listed)
        for name, workers in (("whole evaluation", None), ("whole evaluation, no reading ahead", 0)):
            taken, run = timed(device, lambda workers=workers: whole(workers))
            found[name] = taken / run.computed
            idle.setdefault(name, []).append(run.waited / run.seconds)
        start = round_number * PAPER_FRAMES
        found["paper's way, networks"] = statistics.mean(
            timed(device, lambda number=number: papers_way(number))[0]
            for number in range(start, start + (PAPER_FRAMES if round_number else 1))
        )
        for name, value in found.items() if round_number else ():
            seconds.setdefault(name, []).append(value)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return [
        {
            "way": name,
            "seconds_per_frame": median,
            "passes": median / medians["one backbone pass"],
            "gain": medians["paper's way, networks"] / median,
            "idle": statistics.median(idle[name][1:]) if name in idle else None,
        }
        for name, median in medians.items()
    ]


def main() -> None:
    """Run, print the table, write results/evaluation.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    model = load_model("default").to(device)
    rows = measure(model, device, options.rounds)
    settings = {
        "rounds": options.rounds, "threads": options.threads, "device": str(device), "mapping": model.mapping.name,
        "refinement": model.refinement,
    }  # fmt: skip
    print(evaluation_tables(rows, settings))
    print(f"written: {save('evaluation', rows, **settings).name}")


if __name__ == "__main__":
    main()
