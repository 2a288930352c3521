"""Scores of one frame against its truth: plain functions, one value per image.

Images are ``(B, 3, H, W)`` RGB in [0, 1], masks ``(B, 1, H, W)`` in [0, 1] (soft masks are weights, nothing is
thresholded unless a function says so); every result is a float64 tensor ``(B,)``. Before comparing, images are scaled
to 0..255 and clamped, not rounded.

Two families, to be reported side by side and never mixed:

* :func:`mse`, :func:`fmse`, :func:`psnr`, :func:`ssim`, :func:`fssim`: the standard definitions;
* :func:`fmse_paper`, :func:`psnr_paper`, :func:`fssim_paper`: as evaluated for the published tables, at 256 x 256.

:func:`fmse_masked` and :func:`fpsnr` are those of other works on the same data; the ``..._iharmony4`` forms those
of the tables on iHarmony4 (:mod:`co2net.metrics.iharmony4`).

Two more kinds need several frames: :func:`temporal_loss` (pairs of frames and the motion between them; sound forms are
:func:`temporal_loss_weighted` and :func:`temporal_loss_visible`), and :func:`brightness_consistency` and
:func:`color_flicker` (a whole clip, no motion).

Masks and mattes have scores of their own, without an image: :mod:`co2net.metrics.mattes`.

A value that does not exist (a foreground score under an empty mask) is ``nan``: leave it out of a mean and count it.
"""

from co2net.metrics.brightness import BrightnessConsistency, brightness_consistency
from co2net.metrics.flicker import color_flicker
from co2net.metrics.iharmony4 import fpsnr_iharmony4, fssim_iharmony4, psnr_iharmony4, ssim_iharmony4
from co2net.metrics.mattes import (
    alpha_connectivity,
    alpha_gradient,
    alpha_mad,
    alpha_mse,
    boundary_f,
    dice,
    dt_ssd,
    edge_jump,
    iou,
)
from co2net.metrics.mse import fmse, fmse_masked, fmse_paper, mse
from co2net.metrics.psnr import fpsnr, psnr, psnr_paper
from co2net.metrics.ssim import fssim, fssim_paper, ssim, ssim_uniform
from co2net.metrics.temporal import temporal_loss, temporal_loss_visible, temporal_loss_weighted

__all__ = [
    "BrightnessConsistency",
    "alpha_connectivity",
    "alpha_gradient",
    "alpha_mad",
    "alpha_mse",
    "boundary_f",
    "brightness_consistency",
    "color_flicker",
    "dice",
    "dt_ssd",
    "edge_jump",
    "fmse",
    "fmse_masked",
    "fmse_paper",
    "fpsnr",
    "fpsnr_iharmony4",
    "fssim",
    "fssim_iharmony4",
    "fssim_paper",
    "iou",
    "mse",
    "psnr",
    "psnr_iharmony4",
    "psnr_paper",
    "ssim",
    "ssim_iharmony4",
    "ssim_uniform",
    "temporal_loss",
    "temporal_loss_visible",
    "temporal_loss_weighted",
]
