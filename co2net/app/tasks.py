"""What a worker does with a job: the library's file-to-file calls, held to the limits, results under fixed names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from co2net.app.checks import check_media, describe_media, write_still
from co2net.app.look import look
from co2net.colorization.video import colorize_video
from co2net.devices import choose_device, describe_device
from co2net.errors import InputError
from co2net.matting.job import matte_video
from co2net.models.co2net import CO2Net
from co2net.models.registry import default_model_path, list_releases, load_model
from co2net.pipeline.confidence import in_levels
from co2net.pipeline.harmonize import harmonize_video
from co2net.pipeline.job import JobReport, OnProgress
from co2net.video import Composing, MaskOptions

KEPT_MODELS = 2  # loaded networks; one is a few MB, its first use costs a second


@dataclass
class Task:
    """A job as it comes over the line.

    Attributes:
        id: its name.
        kind: a method of :class:`Workshop`.
        folder: its own; results go into ``out``.
        files: role (an argument of the library: "composite", "mask") to path.
        names: path to what its owner calls the file, for messages.
        options: further arguments, as the server has checked them.
        limits: of :class:`~co2net.app.limits.Limits`: "pixels" and "frames".
    """

    id: str
    kind: str
    folder: Path
    files: dict[str, Path]
    names: dict[str, str]
    options: dict[str, Any]
    limits: dict[str, float]
    progress: OnProgress
    cancel: Callable[[], bool]
    notes: list[str] = field(default_factory=list)

    @property
    def out(self) -> Path:
        """Where results go."""
        return self.folder / "out"

    def place(self, stem: str, ending: str) -> Path:
        """A result's path."""
        self.out.mkdir(exist_ok=True)
        return self.out / f"{stem}.{ending}"

    def counted(self, done: int, total: int | None) -> None:
        """Tell progress; a clip that is longer than its header said ends here."""
        most = int(self.limits["frames"])
        if done > most:
            raise InputError(f"the clip has more than the {most} frames that are taken here; cut it into parts")
        self.progress(done, total)

    def in_their_words(self, message: str) -> str:
        """A message with the owner's names in place of our paths."""
        for path, name in self.names.items():
            message = message.replace(path, name)
        return message.replace(f"{self.folder}/", "")


class Workshop:
    """Loaded networks, and a method for each kind of job.

    Args:
        device: as for :func:`co2net.devices.choose_device`.
    """

    def __init__(self, device: str = "auto") -> None:
        self.device = choose_device(device)
        self._models: OrderedDict[str, CO2Net] = OrderedDict()

    def facts(self) -> dict[str, Any]:
        """Device and networks, for those who choose."""
        default = default_model_path()
        models = [
            {
                "name": release.name,
                "network": release.backbone or "unknown",
                "default": release.path == default,
                "good_at": release.advice.get("good at", ""),
                "not_for": release.advice.get("not for", ""),
            }
            for release in list_releases()
        ]
        return {"device": describe_device(self.device), "models": models}

    def work(self, job: dict[str, Any], progress: OnProgress, cancel: Callable[[], bool]) -> dict[str, Any]:
        """Do one job.

        Returns:
            "results" (name to file name in the folder ``out``), "notes", "frames", "seconds", "facts".

        Raises:
            InputError: the sentence for whoever sent it.
            Cancelled: nobody wants it any more.
        """
        files = {role: Path(path) for role, path in job["files"].items()}
        task = Task(**{**job, "folder": Path(job["folder"]), "files": files}, progress=progress, cancel=cancel)
        kinds = {
            "harmonize": self.harmonize,
            "matte": self.matte,
            "colorize": self.colorize,
            "look": self.look,
            "describe": self.describe,
        }
        try:
            for path in task.files.values():
                check_media(path, int(task.limits["pixels"]), int(task.limits["frames"]))
            found = kinds[task.kind](task)
        except InputError as error:
            raise InputError(task.in_their_words(str(error))) from error
        return {**found, "notes": [task.in_their_words(note) for note in [*task.notes, *found.get("notes", ())]]}

    def harmonize(self, task: Task) -> dict[str, Any]:
        """Composite and mask, or foreground and background."""
        options = dict(task.options)
        cube = task.place("look", "cube") if options.pop("cube", False) else None
        given = dict(task.files)
        with ExitStack() as stack:
            self._make_mask(task, given, options, stack)
            report = harmonize_video(
                given.get("composite"),
                given.get("mask"),
                task.place("harmonized", options.pop("format")),
                model=self._model(options.pop("model")),
                on_progress=task.counted,
                foreground=given.get("foreground"),
                background=given.get("background"),
                device=self.device,
                cube=cube,
                mask_options=MaskOptions(invert=options.pop("mask_invert", False)),
                composing=Composing(background_loop=True, background_fit="cover"),
                cancel=task.cancel,
                **options,
            )
        results = {"cube": cube.name} if cube else {}
        return _told(report, results, expected_error=in_levels(report.expected_error), change=report.change)

    def matte(self, task: Task) -> dict[str, Any]:
        """The mask of a clip, its cut-out, or its subject over another background."""
        options = dict(task.options)
        frame = options.pop("mask_frame", 0)
        report = matte_video(
            task.files["clip"],
            task.place("matte", options.pop("format")),
            given={frame: task.files["mask"]} if "mask" in task.files else None,
            background=task.files.get("background"),
            on_progress=task.counted,
            cancel=task.cancel,
            **options,
        )
        return _told(report, {}, least_sure=[n for n, sure in sorted(report.confidence.items()) if sure < 0.5][:3])

    def colorize(self, task: Task) -> dict[str, Any]:
        """A gray clip and strokes on its first frame."""
        options = dict(task.options)
        report = colorize_video(
            task.files["clip"],
            task.files["scribbles"],
            task.place("colorized", options.pop("format")),
            on_progress=task.counted,
            cancel=task.cancel,
            **options,
        )
        return _told(report, {})

    def look(self, task: Task) -> dict[str, Any]:
        """One frame before and after, for the page's slider."""
        options = dict(task.options)
        given = dict(task.files)
        with ExitStack() as stack:
            self._make_mask(task, given, options, stack)
            return look(task, given, self._model(options.pop("model")), self.device, **options)

    def describe(self, task: Task) -> dict[str, Any]:
        """What a clip is, and one of its frames as a picture to paint on."""
        facts = describe_media(task.files["clip"])
        still = task.place("frame", "png")
        write_still(task.files["clip"], int(task.options.get("frame", 0)), still, task.cancel)
        return {"results": {"frame": still.name}, "frames": 1, "seconds": 0.0, "facts": facts}

    def _make_mask(self, task: Task, given: dict[str, Path], options: dict[str, Any], stack: ExitStack) -> None:
        """Key a screen, or carry one painted mask through the clip, where that is asked for."""
        key, carry = options.pop("key", None), options.pop("carry_mask", False)
        frame = options.pop("mask_frame", 0)
        if key is None and not carry:
            return
        if key is not None and "background" not in given:
            raise InputError("a keyed plate needs the `background` that it is put over")
        plate = given.pop("composite", None) or given.pop("foreground", None)
        if plate is None or (carry and "mask" not in given):
            raise InputError("give the `composite`" + (" and a `mask` of one of its frames" if carry else ""))
        made = task.folder / ("cutout.mkv" if key is not None else "carried.mkv")
        stack.callback(made.unlink, missing_ok=True)
        report = matte_video(
            plate,
            made,
            key=key,
            given={frame: given.pop("mask")} if carry else None,
            on_progress=task.counted,
            cancel=task.cancel,
        )
        task.notes += report.notes
        given |= {"foreground": made} if key is not None else {"composite": plate, "mask": made}

    def _model(self, name: str) -> CO2Net:
        """A network that ships, by name; never a path."""
        names = [release.name for release in list_releases()]
        if name not in ("default", *names):
            raise InputError(f"`model` {name}: there are {', '.join(names)}")
        if name not in self._models:
            while len(self._models) >= KEPT_MODELS:
                self._models.popitem(last=False)
            self._models[name] = load_model(name)
        self._models.move_to_end(name)
        return self._models[name]


def _told(report: JobReport, results: dict[str, str], **facts: Any) -> dict[str, Any]:
    return {
        "results": {"output": report.output.name, **results},
        "notes": report.notes,
        "frames": report.frames,
        "seconds": report.seconds,
        "facts": {name: value for name, value in facts.items() if value is not None},
    }
