"""Colorization behind `push` and `finish`: gray frames and strokes in, colored frames out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from co2net.colorization.cpnet import CPNet
from co2net.colorization.frames import as_codes, gray_conversion_of, is_colored, luma_of, recolored, shrunk
from co2net.colorization.gray import GrayConversion
from co2net.colorization.lab import NEUTRAL
from co2net.colorization.painting import corrector
from co2net.colorization.spread import Spreader
from co2net.colorization.ssnet import SSNet
from co2net.colorization.strokes import strokes_ab, strokes_on_black
from co2net.colorization.window import Arrangement, Window, working_size
from co2net.errors import InputError
from co2net.flow import FlowEstimator, create_flow
from co2net.pipeline.cuts import CutDetector
from co2net.pipeline.frames import Picture, frame_shape

Scribbles = Mapping[int, np.ndarray]
SHORT_SIDE = 256  # pixels to work at; the luma stays at the frame's own size
_MULTIPLE = 64  # of the networks' working size: the flow network's


def colorize_frames(
    frames: Iterable[Picture],
    scribbles: Scribbles,
    cpnet: CPNet | None = None,
    ssnet: SSNet | None = None,
    flow: str | FlowEstimator = "dis",
) -> Iterator[Picture]:
    """Color a clip from strokes.

    Args:
        frames: in order, each ``(H, W, 3)`` uint8 or uint16, or ``(3, H, W)`` float in [0, 1]; colors they may have
            play no part.
        scribbles: strokes by frame number from 0, each ``(H, W, 4)`` uint8 with transparency, or ``(H, W, 3)`` on black
            or in color over a gray picture.
        cpnet: from :func:`co2net.colorization.create_cpnet`; None: the way without weights.
        ssnet: from :func:`co2net.colorization.create_ssnet`; None: CPNet alone.
        flow: name of :func:`co2net.flow.create_flow`, or an estimator.

    Returns:
        As many frames, in order, of the kind that came in; their luma is the original's.

    Raises:
        InputError: there are no strokes, or SSNet is given without CPNet.
        ShapeError: while iterating: strokes or frames do not fit.
    """
    if not scribbles:
        raise InputError("there are no scribbles; paint some strokes on the first frame at least")
    stream = ColorizeStream(scribbles, cpnet, ssnet, flow)

    def run() -> Iterator[Picture]:
        for frame in frames:
            for _, result in stream.push(frame):
                yield result
        for _, result in stream.finish():
            yield result

    return run()


class ColorizeStream:
    """The same job, pushed instead of pulled.

    Args:
        scribbles: see :func:`colorize_frames`; without any, networks guess, the way without weights leaves gray.
        cpnet: likewise.
        ssnet: likewise.
        flow: likewise.
        arrangement: see :class:`~.window.Window`; "published" also puts new colors over the gray conversion instead of
            Lab's L, as the published frames have it.

    Attributes:
        notes: sentences about what deserves a look, complete after :meth:`finish`.
    """

    def __init__(
        self,
        scribbles: Scribbles,
        cpnet: CPNet | None = None,
        ssnet: SSNet | None = None,
        flow: str | FlowEstimator = "dis",
        *,
        arrangement: Arrangement = "sound",
    ) -> None:
        if ssnet is not None and cpnet is None:
            raise InputError("SSNet makes CPNet's colors agree over time; give a cpnet too")
        self._scribbles = dict(scribbles)
        estimate = create_flow(flow) if isinstance(flow, str) else flow
        # What "CPNet_plain" paints is carried like strokes' colors; others color frame by frame.
        carried = cpnet is None or (ssnet is None and not cpnet.semantic)
        self._painter: Window | Spreader
        if cpnet is None or carried:
            self._painter = Spreader(estimate, None if cpnet is None else corrector(cpnet))
        else:
            self._painter = Window(cpnet, ssnet, estimate, arrangement=arrangement)
        self._published = arrangement == "published"
        self._conversion = GrayConversion()
        self._cuts = CutDetector()
        self._count = 0
        self._stroked = self._colored = False
        self._shot_begins = True
        self._without: list[int] = []  # first frames of shots without strokes
        self.notes: list[str] = []

    def push(self, frame: Picture, mask: object = None, tag: Any = None) -> Iterator[tuple[Any, Picture]]:
        """Take the next frame; yields ``(tag, colored frame)`` of every frame that is complete now."""
        shape = frame_shape(frame)
        multiple = _MULTIPLE if isinstance(self._painter, Window) else 1
        size = working_size(shape, SHORT_SIDE, multiple)
        luma = luma_of(frame)
        lightness = shrunk(luma, size)
        small = as_codes(lightness)
        shown = gray_conversion_of(frame) if self._published else luma
        if self._count % 16 == 0 and not self._colored:
            self._colored = is_colored(frame)
        if self._cuts.is_cut(small.expand(-1, 3, -1, -1)):
            yield from self._end_of_shot()
        strokes = self._scribbles.pop(self._count, None)
        if strokes is None:
            ab, known = torch.full((1, 2, *size), NEUTRAL), torch.zeros(1, 1, *size)
        else:
            name = f"the strokes of frame {self._count}"
            strokes = strokes_on_black(strokes, shape, name)
            if not self._published:
                self._conversion.look(strokes, luma)
            ab, known = strokes_ab(strokes, shape, size)
            self._stroked = True
        if not self._stroked and self._shot_begins:
            self._without.append(self._count)
        self._shot_begins = False
        self._count += 1
        yield from self._recolored(self._painter.add(small, ab, known, (tag, frame, shown), centered=lightness - 50))

    def finish(self) -> Iterator[tuple[Any, Picture]]:
        """No more frames: yields the rest."""
        yield from self._end_of_shot()
        if self._without:
            shown = ", ".join(str(number) for number in self._without[:5])
            self.notes.append(f"no strokes for the frames from {shown} on (a cut ends what strokes before it say)")
        if self._scribbles:
            self.notes.append(f"strokes for frames that do not exist were left out: {sorted(self._scribbles)[:5]}")
        if self._conversion.name is not None:
            self.notes.append(
                f"by the strokes' brightness the clip was made gray as {self._conversion.name} says: its luma stays"
            )
        if self._conversion.overruled:
            self.notes.append(
                "later strokes tell another gray conversion than the first ones of their shot, which were followed: "
                "give the truest colors first"
            )
        if self._colored:
            self.notes.append("the clip has colors of its own; they were dropped, only its luma counts")

    def _end_of_shot(self) -> Iterator[tuple[Any, Picture]]:
        yield from self._recolored(self._painter.rest())
        self._conversion.next_shot()
        self._stroked, self._shot_begins = False, True

    def _recolored(self, colors: Iterator[tuple[Any, Tensor]]) -> Iterator[tuple[Any, Picture]]:
        for (tag, frame, luma), ab in colors:
            yield tag, recolored(frame, luma, ab, self._conversion.weights)
