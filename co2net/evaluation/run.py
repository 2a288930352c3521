"""A whole evaluation as one call: a data set in, results, report and stored frames out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from co2net.data.datasets import find_list, read_dataset
from co2net.data.sample_data import LIST as SAMPLE_LIST
from co2net.data.sample_data import sample_dataset
from co2net.devices import choose_device
from co2net.errors import InputError
from co2net.evaluation.evaluate import Run, check_times, clips_of, collect_records
from co2net.evaluation.evaluate import evaluate as evaluate_clips
from co2net.evaluation.report import write_report
from co2net.evaluation.report.protocol import protocol
from co2net.evaluation.results import NAME, make_results, score_rows, write_results
from co2net.evaluation.segmentation import segmentation_block
from co2net.evaluation.settings import EvaluationSettings
from co2net.evaluation.store import disk_use
from co2net.evaluation.tasks import task_of
from co2net.evaluation.temporal.pairs import FlowChoice
from co2net.evaluation.temporal.results import add_block, temporal_block
from co2net.evaluation.temporal.stored import StoredPair, StoredResults, measure_stored
from co2net.models.co2net import CO2Net, UnseenRule
from co2net.models.registry import UsedWeights, model_to_evaluate
from co2net.pipeline.job import OnProgress
from co2net.processes import process_group
from co2net.provenance import environment
from co2net.workers import Place, run_jobs

Notes = Callable[[str], None]
NO_REPORT = "note: no report without Jinja2; pip install 'co2net[report]'"


@dataclass
class Evaluation:
    """What an evaluation found and wrote.

    Attributes:
        results: as in ``results.json``; None if nothing was scored.
        files: what was written for people.
        frames: how many were evaluated.
        stored: folder of stored results by kind.
    """

    results: dict[str, Any] | None
    files: list[Path] = field(default_factory=list)
    frames: int = 0
    stored: dict[str, Path] = field(default_factory=dict)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Every score, one entry per frame and method (:func:`co2net.evaluation.results.score_rows`)."""
        return [] if self.results is None else score_rows(self.results)

    def to_pandas(self) -> Any:
        """:attr:`rows` as a ``pandas.DataFrame``.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ImportError as error:
            raise InputError("a frame of pandas needs pandas, which is not installed; pip install pandas") from error
        return pandas.DataFrame(self.rows)


def evaluate(
    dataset: str | Path = "sample",
    frame_list: str | Path | None = None,
    *,
    weights: str = "default",
    backbone: str | None = None,
    lut_only: bool = False,
    paper_lut_only: bool = False,
    mapping: str | None = None,
    unseen_rule: UnseenRule = "zero_weight",
    on: Place = "here",
    processes: int = 1,
    **more: Any,
) -> Evaluation | None:
    """Evaluate weights on a data set: what ``co2net evaluate`` does.

    Args:
        dataset: its folder; "sample": the one that comes with co2net.
        frame_list: list of frames or clips; a bare name is the data set's own; None: its test split.
        weights: "default", the name of shipped weights, or a path.
        backbone: network of the weight file, where the file does not say.
        lut_only: the color mapping alone, without refinement.
        paper_lut_only: without refinement, blend by the mask twice, as published.
        mapping: the LUT's form; None: what the weights ask for.
        unseen_rule: see :class:`~co2net.models.co2net.CO2Net`.
        on: where processes are: of this machine, or on a Ray cluster, see :mod:`co2net.workers`.
        processes: evaluate so many clips at a time; 0: one per core. Several need an ``output`` that all can reach.
        **more: settings (:class:`~co2net.evaluation.settings.EvaluationSettings`), as ``size=128`` or
            ``methods=("final",)``; and how to do it (:func:`run_evaluation`), as ``output="runs/evaluation"``.

    Returns:
        What was found; None in every process but the first.

    Raises:
        InputError: something that was given cannot be used; names it.
        OutputError: something cannot be written.
    """
    sample = str(dataset) == "sample"
    root = sample_dataset() if sample else Path(dataset)
    if frame_list is not None:
        found = find_list(frame_list, root)
    else:
        found = root / SAMPLE_LIST if sample else None
    if on != "here" or processes != 1:
        arguments = {
            "dataset": dataset,
            "frame_list": frame_list,
            "weights": weights,
            "backbone": backbone,
            "lut_only": lut_only,
            "paper_lut_only": paper_lut_only,
            "mapping": mapping,
            "unseen_rule": unseen_rule,
            **more,
        }
        _evaluate_shares(arguments, on, processes)
        more = more | {"overwrite": False}  # all clips have their records now
    names = {field.name for field in fields(EvaluationSettings)}
    chosen = EvaluationSettings(**{name: value for name, value in more.items() if name in names})
    how = {name: value for name, value in more.items() if name not in names}
    model = used = None
    if chosen.needs_model:
        model, used = model_to_evaluate(
            weights,
            backbone=backbone,
            lut_only=lut_only,
            paper_lut_only=paper_lut_only,
            mapping=mapping,
            unseen_rule=unseen_rule,
        )
    return run_evaluation(root, found, model, used, chosen, name="sample" if sample else None, **how)


_SHARES = 64  # more than workers, so that none waits long for the others; few, since each loads the weights


def _evaluate_shares(arguments: Mapping[str, Any], on: Place, processes: int) -> None:
    """Have workers evaluate all clips, each a share of them; their records are in the output folder then."""
    if arguments.get("output") is None:
        raise InputError("several processes need a folder as `output` to put their results together")
    quiet = {name: value for name, value in arguments.items() if name not in ("on_progress", "on_note")}
    shares = max(2, min(_SHARES, arguments.get("limit_clips") or _SHARES))
    jobs = [{**quiet, "share": (number, shares)} for number in range(shares)]
    for _ in run_jobs(_evaluate_share, jobs, processes, on=on):
        pass


def _evaluate_share(arguments: dict[str, Any]) -> None:
    evaluate(**arguments)


def run_evaluation(
    dataset: Path,
    frame_list: Path | None,
    model: CO2Net | None,
    weights: UsedWeights | None,
    settings: EvaluationSettings,
    *,
    name: str | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    limit_clips: int | None = None,
    share: tuple[int, int] | None = None,
    device: str | torch.device = "auto",
    asked: Mapping[str, Any] | None = None,
    on_progress: OnProgress | None = None,
    on_note: Notes | None = None,
) -> Evaluation | None:
    """Evaluate a data set and write results and report; in several processes if ``torchrun`` started them.

    Args:
        dataset: folder of the data set.
        frame_list: list of frames or clips; None: the test split of the data set, everything where it has no splits.
        model: what to evaluate, of :func:`co2net.models.registry.model_to_evaluate`; None where the settings name no
            method that needs it.
        weights: where it comes from.
        settings: what to do.
        name: what to call the data set; None: its folder.
        output: folder of results, report and pictures; makes the run resumable. None: nothing but the stored results
            is written.
        overwrite: compute everything anew.
        limit_clips: only the first of them.
        share: ``(k, n)``: only the k-th of every n clips, counted from 0; their records are written, nothing else.
        device: "auto", "cpu", "cuda", ...
        asked: options to note beside the results; None: the settings.
        on_progress: called with the frames done and the number of all; in the first process only.
        on_note: called with sentences about the run; likewise.

    Returns:
        What was found; None in every process but the first.

    Raises:
        InputError: something that was given cannot be used; names it.
        OutputError: something cannot be written.
    """
    if settings.needs_model and model is None:
        raise InputError("`methods` names results of a network, and no `model` is given")
    say = on_note or (lambda sentence: None)
    output = None if output is None else Path(output)
    split = None if frame_list else "test"
    entries = read_dataset(
        dataset, frame_list, split, composites=task_of(settings.task).composites, check_files=settings.metrics
    )
    clips = clips_of(entries, limit_clips)
    check_times(clips, settings)
    clips = clips if share is None else clips[share[0] :: share[1]]
    with process_group(choose_device(device) if isinstance(device, str) else device, alike=False) as processes:
        if processes.count > 1 and output is None:
            raise InputError("several processes need a folder as `output` to put their results together")
        if processes.first and settings.stored:
            listed = [entry for clip in clips for entry in clip.entries]
            megabytes = disk_use(listed, settings) / 1e6
            say(f"{len(settings.stored)} x {len(listed)} files, {megabytes:.0f} MB in all, will be stored")
        if model is not None:
            model.to(processes.device)
        used = {weights.role: weights.values_sha256} if weights else {}
        conditions = settings.conditions(model, used, name or str(dataset))
        done = evaluate_clips(
            model,
            processes.share(clips),
            settings,
            conditions=conditions,
            output=output,
            overwrite=overwrite,
            on_progress=on_progress if processes.first else None,
            device=processes.device,
        )
        if share is not None:
            return None
        if processes.first:
            say(_speed(done))
        processes.wait()
        if not processes.first:
            return None
        if processes.count > 1 and output is not None:
            done.records = collect_records(output, clips, processes, done, conditions)
        where = processes.device
    evaluation = Evaluation(None, frames=sum(len(record["frames"]) for record in done.records), stored=settings.stored)
    if not settings.metrics:
        return evaluation
    methods = settings.scored(model)
    flow = settings.flow
    evaluation.results = make_results(
        done.records,
        methods=methods,
        title=f"{weights.name if weights else ', '.join(methods)} on {name or dataset.name or dataset}, "
        f"{frame_list.name if frame_list else split}",
        protocol=protocol(settings, model, dataset, [record["clip"] for record in done.records]),
        settings=dict(asked) if asked is not None else _plain(settings),
        environment=environment(where),
        weights=[weights.as_dict()] if weights else [],
        temporal=temporal_block(done.records, methods, flow, settings.size, settings.step, settings.task)
        if flow
        else None,
        segmentation=segmentation_block(done.records, methods, settings.segmenter) if settings.segmenter else None,
        task=settings.task,
    )
    if output is not None:
        evaluation.files = [*write_results(output, evaluation.results), *_report(output, say)]
    return evaluation


def run_stored(
    pairs: list[StoredPair],
    stored: StoredResults,
    flow: FlowChoice,
    device: torch.device,
    *,
    output: Path | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
    on_note: Notes | None = None,
) -> tuple[dict[str, Any], list[Path]]:
    """Measure stored results over time, and add the measures to the report that is in `output`.

    Args:
        pairs: of :func:`co2net.evaluation.temporal.stored.listed_pairs`.
        stored: what to measure.
        flow: what finds the motion.
        device: where to compute.
        output: folder of ``temporal.json``, and of an evaluation perhaps; makes the run resumable.
        overwrite: measure everything anew.
        on_progress: called with the pairs done and the number of all.
        on_note: called with sentences about the run.

    Returns:
        The block of :mod:`co2net.evaluation.temporal.results`, and what was written.

    Raises:
        InputError: a file is missing, damaged or of another size.
        OutputError: something cannot be written.
    """
    if stored.method in ("", "truth", "composite"):
        raise InputError(f"`method` {stored.method or '(nothing)'} cannot be the name of results; call them otherwise")
    records = output / "temporal" / f"{stored.method}_{flow.name}" if output else None
    block = measure_stored(pairs, stored, flow, device, output=records, overwrite=overwrite, on_progress=on_progress)
    if output is None:
        return block, []
    written = [add_block(output, block)]
    if (output / NAME).is_file():
        written += _report(output, on_note or (lambda sentence: None))
    return block, written


def _report(output: Path, say: Notes) -> list[Path]:
    if find_spec("jinja2"):
        return write_report(output)
    say(NO_REPORT)
    return []


def _speed(done: Run) -> str:
    share = 100 * done.waited / max(done.seconds, 1e-9)
    return (
        f"{done.computed} frames computed ({done.passes} backbone passes) in {done.seconds:.1f} s; "
        f"{share:.1f} % of it waiting for frames to be decoded"
    )


def _plain(settings: EvaluationSettings) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(settings).items()}
