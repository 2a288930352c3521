"""Temporal loss of results on disk: frames t and t + 1, as the published values were made.

A pair is a line of a task list (HYouTube's ``tl_task.txt``): frame t, in one data set, and the frame with the next
number in a second root of the same layout. Both results are stored ``.npy`` files; real frames and masks are brought to
the results' size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from co2net.data.frame_lists import COLUMNS, list_lines, read_frame_list
from co2net.data.pictures import read_image, read_mask, resize_image, resize_mask, to_tensor
from co2net.data.samples import Sample
from co2net.data.stored_results import read_stored_image, stored_path
from co2net.errors import InputError
from co2net.evaluation.methods import TRUTH
from co2net.evaluation.records import read_record, write_record
from co2net.evaluation.temporal.pairs import FlowChoice, TimedFrame, score_pair
from co2net.evaluation.temporal.results import make_block, pairs_in_words
from co2net.flow import FlowEstimator
from co2net.metrics.registry import pair_measures_of
from co2net.pipeline.job import OnProgress


@dataclass(frozen=True)
class StoredPair:
    """Frame t, in the data set, and frame t + 1, in the second root."""

    current: Sample
    following: Sample

    @property
    def step(self) -> int:
        """How far the numbers are apart."""
        return self.following.number - self.current.number

    @property
    def clip(self) -> str:
        """``<video>/<object>``."""
        return "/".join(self.current.composite.parts[-3:-1])


@dataclass(frozen=True)
class StoredResults:
    """Where the results of one method are.

    Attributes:
        method: what to call it in tables: ``final``, ``backbone``, ``lut``, or any other name.
        current: folder of the results of frames t.
        following: folder of the results of frames t + 1; may be the same.
    """

    method: str
    current: Path
    following: Path


def listed_pairs(
    task_list: Path, root: Path, next_root: Path, step: int = 1, future_list: Path | None = None
) -> list[StoredPair]:
    """The pairs of a task list.

    Args:
        task_list: frames t, as in any frame list.
        root: data set of the frames t.
        next_root: data set of the frames t + 1; may be the same.
        step: how far the next frame's number is.
        future_list: if given, the frames t + 1 that exist; every pair must be in it.

    Raises:
        InputError: a list, a frame t or a real frame t + 1 is missing; names the first of them and how many.
    """
    if step < 1:
        raise InputError(f"`step` must be at least 1, got {step}")
    entries = read_frame_list(task_list, root)
    columns = [_folder(next_root, names) for _, names in COLUMNS]
    pairs = []
    for entry in entries:
        moved = entry.at(entry.number + step)
        parts = (moved.real.parts[-2:], moved.mask.parts[-3:], moved.composite.parts[-3:])
        pairs.append(StoredPair(entry, Sample(*(c.joinpath(*p) for c, p in zip(columns, parts, strict=True)))))
    missing = [pair.following.real for pair in pairs if not pair.following.real.is_file()]
    if missing:
        raise InputError(
            f"{missing[0]} does not exist{_more(missing)}: a pair needs the real frame {step} after each of "
            f"{task_list}; is `next_root` the data set of next frames?"
        )
    if future_list is not None:
        known = {tuple(words[2].split("/")[-3:]) for _, words in list_lines(future_list) if len(words) == 3}
        absent = [pair for pair in pairs if pair.following.composite.parts[-3:] not in known]
        if absent:
            name = absent[0].following.composite
            raise InputError(f"{future_list} does not list {name}{_more(absent)}, the frame after one of {task_list}")
    return pairs


def check_stored(pairs: Sequence[StoredPair], results: StoredResults) -> None:
    """Look whether every result is there, before anything is computed.

    Raises:
        InputError: one is missing; names the first, how many, and how they are made.
    """
    wanted = [stored_path(results.current, pair.current) for pair in pairs]
    wanted += [stored_path(results.following, pair.following) for pair in pairs]
    missing = [path for path in wanted if not path.is_file()]
    if missing:
        raise InputError(
            f"the stored result {missing[0]} does not exist{_more(missing)}; make it by an evaluation that stores its "
            "results (docs/evaluation.md), for both lists, of frames and of next frames"
        )


def measure_stored(
    pairs: Sequence[StoredPair],
    results: StoredResults,
    flow: FlowChoice,
    device: torch.device,
    *,
    output: Path | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Measure the pairs, clip by clip; what is measured and unchanged is not measured again.

    Args:
        pairs: of :func:`listed_pairs`.
        results: what to measure.
        flow: what finds the motion.
        device: where to compute.
        output: folder for records of finished clips; None keeps none.
        overwrite: measure everything anew.
        on_progress: called with the pairs done and the number of all.

    Returns:
        A block of :mod:`co2net.evaluation.temporal.results` with the results' method, the composite where both
        composites of every pair exist, and the truth.

    Raises:
        InputError: a file is missing, damaged or of another size.
        OutputError: the records cannot be written.
    """
    check_stored(pairs, results)
    measures = [measure.key for measure in pair_measures_of("harmonization")]
    estimate = flow.create()  # before its weights are hashed: it says best what is wrong with them
    composites = all(pair.following.composite.is_file() for pair in pairs) and results.method != "composite"
    methods = [*(["composite"] if composites else []), results.method]
    conditions = {**flow.conditions(), "method": results.method, "composites": composites}
    clips, done, sizes = [], 0, set[tuple[int, int]]()
    for name in dict.fromkeys(pair.clip for pair in pairs):
        own = [pair for pair in pairs if pair.clip == name]
        record = None if overwrite or output is None else _finished(output, name, own, results, conditions)
        if record is None:
            frames = []
            for pair in own:
                frames.append(_measure(pair, results, composites, methods, estimate, device))
                if on_progress is not None:
                    on_progress(done + len(frames), len(pairs))
            record = {"clip": name, "frames": frames, "stamps": _stamps(own, results)}
            if output is not None:
                write_record(output, conditions, record)
        done += len(own)
        if on_progress is not None:
            on_progress(done, len(pairs))
        values = {
            method: {m: [frame["temporal"][method].get(m) for frame in record["frames"]] for m in measures}
            for method in (*methods, TRUTH)
        }
        clips.append({"clip": name, "numbers": [frame["number"] for frame in record["frames"]], "values": values})
        sizes |= {(frame["height"], frame["width"]) for frame in record["frames"]}
    return make_block(clips, (*methods, TRUTH), measures, flow, pairs_in_words(len(pairs), sizes, pairs[0].step))


def _measure(
    pair: StoredPair,
    results: StoredResults,
    composites: bool,
    methods: Sequence[str],
    estimate: FlowEstimator,
    device: torch.device,
) -> dict[str, Any]:
    """A frame of a record."""
    frames = [
        _timed(entry, folder, composites, device)
        for entry, folder in ((pair.current, results.current), (pair.following, results.following))
    ]
    rows = score_pair(frames[0], frames[1], estimate)
    scores = dict(zip((*methods, TRUTH), rows, strict=True))
    height, width = frames[0].results.shape[2:]
    return {
        "name": pair.current.result_name, "number": pair.current.number, "height": height, "width": width,
        "temporal": scores,
    }  # fmt: skip


def _timed(entry: Sample, folder: Path, composites: bool, device: torch.device) -> TimedFrame:
    result = read_stored_image(folder, entry)
    size = (result.shape[1], result.shape[2])

    def picture(path: Path) -> torch.Tensor:
        return to_tensor(resize_image(read_image(path), size))

    real = picture(entry.real)
    images = [*([picture(entry.composite)] if composites else []), result, real]
    # Only the published form can do without the mask of t + 1, and the mask of t is known to be there.
    mask = torch.from_numpy(resize_mask(read_mask(entry.mask), size)) if entry.mask.is_file() else None
    # MPS has no float64.
    where = torch.device("cpu") if device.type == "mps" else device
    return TimedFrame(
        str(stored_path(folder, entry)),
        torch.stack(images).to(where),
        real[None].to(where),
        None if mask is None else mask[None, None].to(where),
    )


def _finished(
    output: Path, clip: str, pairs: Sequence[StoredPair], results: StoredResults, conditions: dict[str, Any]
) -> dict[str, Any] | None:
    """The record of a clip if nothing that it was made of has changed since."""
    record = read_record(output, clip, [pair.current.result_name for pair in pairs], conditions)
    return record if record is not None and record.get("stamps") == _stamps(pairs, results) else None


def _stamps(pairs: Sequence[StoredPair], results: StoredResults) -> list[list[str | int]]:
    """Path, size and time of every file that is read: results are often made again under the same name."""
    stamps: list[list[str | int]] = []
    for pair in pairs:
        for entry, folder in ((pair.current, results.current), (pair.following, results.following)):
            for path in (stored_path(folder, entry), *entry):
                if path.is_file():
                    stat = path.stat()
                    stamps.append([str(path), stat.st_size, stat.st_mtime_ns])
    return stamps


def _folder(root: Path, names: tuple[str, ...]) -> Path:
    """The folder of a column under any of its names; the first name where there is none."""
    if not root.is_dir():
        raise InputError(f"the data set of next frames {root} does not exist")
    return next((root / name for name in names if (root / name).is_dir()), root / names[0])


def _more(missing: Sequence[object]) -> str:
    return f" (nor do {len(missing) - 1} others)" if len(missing) > 1 else ""
