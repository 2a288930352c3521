"""Frames in, frames out: video files, folders of pictures and single images, one frame at a time.

::

    reader = open_video("composite.mp4")                       # or a folder of frames, or one picture
    masks = open_mask("mask.mp4", like=reader.info)            # the same, or one still picture for all frames
    with reader, masks, open_writer("out.mp4", reader.info, protect=["mask.mp4"]) as writer:
        for frame, mask in pair(reader, masks):                # checks that both end together
            writer.write(frame, harmonize(frame.image, mask), mask)

What stands where:

* ``reader.info`` is a :class:`VideoInfo`; ``info.height, info.width`` are those of ``frame.image``. Pictures are
  always upright, as a player shows them; the writer turns them back and keeps the file's rotation tag.
* ``frame.image`` is ``(H, W, 3)`` RGB, full range, display-coded (no transfer curve is undone): ``uint8``, or
  ``uint16`` in 0..65535 where the source has more than 8 bits per channel. Do not write into it.
  ``frame.alpha`` is ``(H, W)`` of the same type, or None. ``frame.seconds`` is its time, from the container.
* ``frame.number`` counts from 0. Frames come in display order and hold their decoded planes; keep as few as you need.
* Masks are ``float32 (H, W)`` in [0, 1], upright, of the size of the composite; soft values stay soft.
  ``pair(reader, masks)`` is the way to walk both: it raises :class:`~co2net.errors.InputError` when one ends before
  the other. ``masks_from_alpha(reader.info)`` is the alpha channel of the input itself.
* ``open_video(folder, frame_rate=24)`` gives pictures their times; without it a video made of them has 25 frames/s.
* ``open_composed(foreground, background, mask=None)`` has ``.info`` and yields ``(frame, mask)`` pairs already.
* ``writer.write(frame, image, mask=None)``: frames in order, each once, none left out. ``image`` is ``(H, W, 3)`` of
  the type of ``frame.image``, or ``float32`` in [0, 1] (better: no rounding before the output's own). Where the mask
  is exactly 0 the source's samples are written, whatever ``image`` holds there. Without a mask all of ``image`` counts.
* Leaving the ``with`` block normally finishes the file and puts it in place; leaving it by any exception removes it.
  ``writer.notes`` lists, in sentences, what could not be kept as it was (complete after the block); ``writer.output``
  is the path.
* ``open_writer(output, info, codec=None, quality=None, overwrite=True, protect=())``: the ending chooses the format,
  `protect` names inputs besides ``info.sources`` that must not be written over. Refusals come here, before any work.
* Every user's mistake is an :class:`~co2net.errors.InputError` or :class:`~co2net.errors.OutputError`, one sentence.
"""

from __future__ import annotations

from co2net.video.compose import ComposedReader, Composing, open_composed
from co2net.video.mask_files import MaskOptions
from co2net.video.masks import MaskReader, alpha_mask, masks_from_alpha, open_mask
from co2net.video.metadata import Frame, VideoInfo
from co2net.video.pairing import pair
from co2net.video.picture_clips import Part, PictureReader, natural_key
from co2net.video.reader import VideoReader, open_video
from co2net.video.writer import Writer, open_writer

__all__ = [
    "ComposedReader",
    "Composing",
    "Frame",
    "MaskOptions",
    "MaskReader",
    "Part",
    "PictureReader",
    "VideoInfo",
    "VideoReader",
    "Writer",
    "alpha_mask",
    "masks_from_alpha",
    "natural_key",
    "open_composed",
    "open_mask",
    "open_video",
    "open_writer",
    "pair",
]
