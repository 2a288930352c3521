"""A method and a metric of somebody else: one file, one line each to register."""

import torch

from co2net.evaluation import methods
from co2net.metrics import registry


def halves(frames, masks):
    """Half the composite's light inside the mask; two frames late, as networks with a window are."""
    waiting = []
    for frame, mask in zip(frames, masks, strict=True):
        waiting.append(frame * (1 - 0.5 * mask))
        if len(waiting) > 2:
            yield waiting.pop(0)
    yield from waiting


def guess(frames, masks):
    """A matte: what is brighter than the frame's mean."""
    return ((frame.mean(0) > frame.mean()).float() for frame, _ in zip(frames, masks, strict=True))


METHOD = methods.Method("halves", "half the light", "a toy", create=lambda weights, device: halves)
MATTE = methods.Method("guess", "brighter half", task="matting", create=lambda weights, device: guess)
METRIC = registry.Metric("bias", "Bias", lambda c: (c.image - c.target).abs().mean(dim=(1, 2, 3)), digits=5)


JUMP = registry.PairMeasure("jump", "Jump", lambda pair: (pair.following - pair.current).abs().mean(dim=(1, 2, 3)))


def few(frames, masks):
    """Loses the last frame."""
    frames = list(frames)
    return (torch.as_tensor(frame) for frame in frames[:-1])


LOSES = methods.Method("loses", "loses one", create=lambda weights, device: few)
