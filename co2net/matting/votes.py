"""Which colors, where, belonged to the foreground: votes of a frame whose mask is known, asked by another frame.

A frame's pixels vote, each for its color at its place; nearby colors and nearby places hear the vote too. What a pixel
of another frame is told, is the share of "foreground" among the votes for its color about its place. This is the
bilateral space of Maerki et al., "Bilateral Space Video Segmentation", CVPR 2016, with a codebook of the clip's own
colors for the three color axes, so that a whole frame votes in a few milliseconds.
"""

from __future__ import annotations

import cv2
import numpy as np

COLORS = 256  # entries of the codebook
SAMPLES = 4096  # pixels that it is made from
NEAR = 4.0  # color distance (CIELAB) over which a vote fades
AXES = (48, 40, 40)  # lightness and both color axes of the table from a color to its entry
LEAST_RANGE = (40.0, 30.0, 30.0)  # CIELAB: the table spans at least that much, so that a flat picture is not split
DOUBT = 0.02  # weight of the prior, in votes


def lab_colors(picture: np.ndarray) -> np.ndarray:
    """CIELAB of ``(H, W, 3)`` uint8 RGB, float32, slightly smoothed: single noisy pixels should not vote alone."""
    return cv2.GaussianBlur(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), (0, 0), 0.7)


class Codebook:
    """A clip's own colors.

    Args:
        pictures: CIELAB pictures ``(H, W, 3)`` float32 whose colors it is made of.
    """

    def __init__(self, *pictures: np.ndarray) -> None:
        colors = np.concatenate([p.reshape(-1, 3)[:: max(1, p.size // 3 // SAMPLES)] for p in pictures])
        low, high = np.percentile(colors, (0.5, 99.5), axis=0)
        spare = np.maximum(0, np.asarray(LEAST_RANGE) - (high - low)) / 2
        self._low = (low - spare).astype(np.float32)
        self._scale = (np.asarray(AXES) / (high + spare - self._low)).astype(np.float32)
        count = min(COLORS, len(colors))
        cv2.setRNGSeed(0)  # the same clip gives the same masks
        stop = (cv2.TERM_CRITERIA_MAX_ITER, 6, 0.0)
        centers = cv2.kmeans(colors.astype(np.float32), count, None, stop, 1, cv2.KMEANS_PP_CENTERS)[2]  # type: ignore[call-overload]
        grid = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in AXES), indexing="ij"), -1).reshape(-1, 3)
        places = (grid / self._scale + self._low).astype(np.float32)
        distance = (centers**2).sum(1)[None] - 2 * places @ centers.T
        self._table = distance.argmin(1).astype(np.int32)
        between = np.square(centers[:, None] - centers[None]).sum(-1)
        self.affinity = np.exp(-between / (2 * NEAR**2)).astype(np.float32)

    def __len__(self) -> int:
        return len(self.affinity)

    def entries(self, picture: np.ndarray) -> np.ndarray:
        """The entry of every pixel of a CIELAB picture: int32 ``(H, W)``."""
        steps = (picture - self._low) * self._scale
        index = np.zeros(picture.shape[:2], np.int32)
        for axis, count in enumerate(AXES):
            index = index * count + np.clip(steps[..., axis], 0, count - 1).astype(np.int32)
        return self._table[index]


class Votes:
    """What one frame says about foreground and background, by color and place.

    Args:
        book: the codebook.
        entries: of the voting frame, from :meth:`Codebook.entries`.
        mask: ``(H, W)`` float32 in [0, 1]: what each pixel votes for.
        x: ``(H, W)`` float32: the column where each pixel votes; another than its own where it has moved since.
        y: the rows, likewise.
        cell: pixels over which votes are heard.
    """

    def __init__(
        self, book: Codebook, entries: np.ndarray, mask: np.ndarray, x: np.ndarray, y: np.ndarray, cell: int
    ) -> None:
        height, width = entries.shape
        self._cell, self._colors = cell, len(book)
        self._rows, self._columns = height // cell + 2, width // cell + 2
        column = np.clip(np.rint(x / cell), 0, self._columns - 1).astype(np.int32)
        row = np.clip(np.rint(y / cell), 0, self._rows - 1).astype(np.int32)
        index = ((row * self._columns + column) * self._colors + entries).ravel()
        size = self._rows * self._columns * self._colors
        sums = []
        for weights in (mask.ravel(), None):
            votes = np.bincount(index, weights, size).astype(np.float32)
            sums.append(self._spread(votes.reshape(-1, self._colors) @ book.affinity))
        # One complex number holds both, so that one look-up fetches both: what votes "foreground", and all that votes.
        self._votes = (sums[0] + 1j * sums[1]).astype(np.complex64)

    def _spread(self, votes: np.ndarray) -> np.ndarray:
        """Let the neighboring cells hear: a 3 x 3 binomial blur over rows and columns of cells."""
        shape = self._rows, self._columns, self._colors
        # For OpenCV a picture with rows of (columns, colors): a vertical blur, then the same with both swapped.
        lines = cv2.sepFilter2D(votes.reshape(self._rows, -1), -1, _NONE, _BLUR, borderType=cv2.BORDER_CONSTANT)
        turned = np.ascontiguousarray(lines.reshape(shape).transpose(1, 0, 2)).reshape(self._columns, -1)
        turned = cv2.sepFilter2D(turned, -1, _NONE, _BLUR, borderType=cv2.BORDER_CONSTANT)
        return np.ascontiguousarray(turned.reshape(self._columns, self._rows, -1).transpose(1, 0, 2)).ravel()

    def share(self, entries: np.ndarray, x: np.ndarray, y: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """What each pixel is told.

        Args:
            entries: of the asking frame.
            x: ``(H, W)`` float32: where each pixel asks, in columns of the voting frame.
            y: the rows, likewise.
            prior: ``(H, W)`` float32 in [0, 1]: the answer where nobody voted.

        Returns:
            ``(H, W)`` float32 in [0, 1]: the share of "foreground".
        """
        column = np.clip(x / np.float32(self._cell), 0, self._columns - np.float32(1.001))
        row = np.clip(y / np.float32(self._cell), 0, self._rows - np.float32(1.001))
        left, top = column.astype(np.int32), row.astype(np.int32)
        right_share, lower_share = column - left, row - top
        first = (top * self._columns + left) * self._colors + entries
        heard = np.zeros(entries.shape, np.complex64)
        for down, row_share in ((0, 1 - lower_share), (1, lower_share)):
            for along, column_share in ((0, 1 - right_share), (1, right_share)):
                found = self._votes.take(first + (down * self._columns + along) * self._colors)
                heard += (row_share * column_share) * found
        return (heard.real + DOUBT * prior) / (heard.imag + DOUBT)


_NONE = np.ones(1, np.float32)
_BLUR = np.array([0.25, 0.5, 0.25], np.float32)
