"""Write stored results (``.npy`` per frame) beside the computation."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from PIL import Image

from co2net.data.samples import Sample
from co2net.data.stored_results import NAME, read_origin, write_image, write_lut, write_origin
from co2net.errors import InputError
from co2net.evaluation.clip_pass import HarmonizedFrames
from co2net.evaluation.settings import EvaluationSettings
from co2net.files import make_folder
from co2net.models.co2net import CO2Net
from co2net.provenance import differences

THREADS, MOST_UNWRITTEN = 2, 32


class ResultStore:
    """Writes the results that the settings ask for, in threads; close it, or use ``with``."""

    def __init__(self, settings: EvaluationSettings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(THREADS, "store") if settings.stored else None
        self._pending: list[Future[None]] = []

    def add(self, frames: HarmonizedFrames) -> None:
        """Write the results of some frames; waits only if too many are unwritten.

        Raises:
            OutputError: a folder cannot be made or written, or the disk is full; may tell of an earlier frame.
        """
        if self._pool is None:
            return
        wanted, result = self._settings, frames.result
        for i, entry in enumerate(frames.entries):
            if wanted.lut_output is not None and wanted.lut_map is not None:
                lut, unseen = result.lut[i].cpu(), result.unseen[i].cpu()
                self._submit(write_lut, wanted.lut_output, wanted.lut_map, entry, lut, unseen)
            if wanted.store_result is not None:
                self._submit(write_image, wanted.store_result, entry, result.image[i].cpu())
            if wanted.store_backbone is not None:
                self._submit(write_image, wanted.store_backbone, entry, result.backbone[i].cpu())
        if len(self._pending) > MOST_UNWRITTEN:
            self.finish()

    def finish(self) -> None:
        """Return when everything is on disk.

        Raises:
            OutputError: as :meth:`add`.
        """
        for pending in self._pending:
            pending.result()
        self._pending.clear()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, *call: object) -> None:
        assert self._pool is not None  # noqa: S101
        self._pending.append(self._pool.submit(*call))  # type: ignore[arg-type]

    def __enter__(self) -> ResultStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def note_origin(settings: EvaluationSettings, model: CO2Net, *, overwrite: bool = False) -> None:
    """Note beside the LUT outputs what makes them, before the first is written; several processes note the same.

    Raises:
        InputError: the folder holds results that something else made; `overwrite` allows that.
        OutputError: the folder cannot be made or written.
    """
    folder = settings.lut_output
    if folder is None:
        return
    make_folder(folder)
    origin = settings.lut_origin(model)
    if not overwrite:
        # Looked for before the note is read: another process may note and write in between.
        holds_results = next(folder.glob("*.npy"), None) is not None
        found = read_origin(folder)
        hint = "give another folder, or `overwrite` to make them anew"
        if found is None and holds_results:
            raise InputError(f"{folder} holds results without {NAME}, which would say what made them; {hint}")
        if found is not None and (different := differences(found, origin, origin)):
            raise InputError(f"{folder} holds results that were made otherwise: {'; '.join(different)}; {hint}")
    write_origin(folder, origin)


def disk_use(entries: list[Sample], settings: EvaluationSettings) -> int:
    """Bytes that the stored results of all listed frames take, about.

    Raises:
        InputError: the first frame cannot be read.
    """
    if settings.size is not None:
        pixels = settings.size**2
    else:
        try:
            with Image.open(entries[0].composite) as picture:  # reads the header only
                pixels = picture.width * picture.height
        except OSError as error:
            raise InputError(f"cannot read picture {entries[0].composite}: {error}") from error
    return len(settings.stored) * len(entries) * (pixels * 3 * 4 + 128)
