"""CO2Net: color mapping consistency for video harmonization (IJCAI 2022, arXiv 2205.00687).

The paper's figure, box by box; from a frame and its neighbors to the result in eleven steps::

    frame ──────► backbone ────────────────────────────┬─► refine ─► finish ─► image     steps 1, 2, 10, 11
    neighbors ──► backbone ─► frame_volume ─► sum      │
                              color_mapping ─► apply_mapping                             steps 3 to 9

:meth:`CO2Net.forward` takes a frame and all its neighbors at once. A video is harmonized by the same steps, called
frame by frame with the volumes of a sliding window (``co2net/pipeline``); volumes add up, so the results agree.
"""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

import trilinear
from co2net.checks import check_choice, check_image, check_mask
from co2net.color_mapping.clip_window import ClipWindow
from co2net.color_mapping.mappings import ColorMapping, color_mapping
from co2net.errors import Co2netError, InputError, ShapeError
from co2net.models.backbones.base import Backbone, BackboneOutput
from co2net.models.refinement import Refinement

UnseenRule = Literal["zero_weight", "all_empty"]
UNSEEN_RULES: tuple[UnseenRule, ...] = get_args(UnseenRule)


@dataclass
class CO2NetResult:
    """Result of :class:`CO2Net`; images are in [0, 1] space, unclamped, the input where the mask is 0.

    Attributes:
        image: the final frame ``(B, 3, H, W)``.
        backbone: what the backbone alone makes of the frame ``(B, 3, H, W)``.
        lut: what the color mapping alone makes of it ``(B, 3, H, W)``, backbone colors where it says nothing.
        unseen: ``(B, 1, H, W)``, the mask where the color mapping says nothing, 0 elsewhere.
        refined: the refinement's colors ``(B, 3, H, W)`` before the mask blends them, meant where the mask is above 0;
            None without refinement.
    """

    image: Tensor
    backbone: Tensor
    lut: Tensor
    unseen: Tensor
    refined: Tensor | None = None


class CO2Net(nn.Module):
    """Backbone, color mapping and refinement.

    The state dict holds ``backbone.*`` and ``refine_network.*``, as the official files do. The backbone always stays
    in eval mode and runs without gradients; :meth:`train` switches the refinement.

    Args:
        backbone: per-frame network.
        use_feature: hand the backbone's features to the refinement.
        refinement: False: no ``refine_network``; the result is the color mapping alone.
        mapping: a :class:`~co2net.color_mapping.mappings.ColorMapping` or the name of one. "paper": colors that no
            neighbor shows fall back to the backbone. "smooth": the LUT is completed and smoothed first. "predicted":
            the backbone predicts a LUT for each frame, and those of the neighbors and of the frame are averaged.
        unseen_rule: which pixels the color mapping says nothing about, see :func:`trilinear.unseen_map`.
            "all_empty" is the paper's rule, which can turn pixels with a channel of exactly 0 black.
        paper_lut_only: without refinement, apply fallback and mask blend twice, as the published LUT-only numbers
            need (docs/evaluation.md); differs at soft mask edges only.

    Attributes:
        neighbor_pixels: pixels of neighbor frames per backbone pass, which bounds the memory of :meth:`forward`; at
            least one frame goes at a time. None: 16 frames of 256 x 256 on a GPU, one frame on the CPU, where a larger
            batch leaves the caches and takes twice as long.

    Raises:
        InputError: if a setting is unknown, `paper_lut_only` is asked together with a refinement, or "predicted" of a
            backbone that predicts no LUT.
    """

    neighbor_pixels: int | None = None

    def __init__(
        self,
        backbone: Backbone,
        *,
        use_feature: bool = True,
        refinement: bool = True,
        mapping: str | ColorMapping = "paper",
        unseen_rule: UnseenRule = "zero_weight",
        paper_lut_only: bool = False,
    ) -> None:
        super().__init__()
        self.mapping = color_mapping(mapping)
        check_choice("unseen_rule", unseen_rule, UNSEEN_RULES)
        if paper_lut_only and refinement:
            raise InputError("paper_lut_only describes the color mapping alone; it needs refinement=False")
        if self.mapping.needs_prediction and not backbone.predicts_mapping:
            raise InputError(
                f'{backbone.title} predicts no LUT; mapping="{self.mapping.name}" needs a backbone that does'
            )
        self.backbone = backbone
        if self.mapping.needs_prediction and not refinement:
            backbone.paints = False  # nobody would look at it
        self.refine_network = Refinement(backbone.feature_channels if use_feature else 0) if refinement else None
        self.unseen_rule: UnseenRule = unseen_rule
        self.paper_lut_only = paper_lut_only
        self.train(self.training)

    @property
    def refinement(self) -> bool:
        """Whether the model refines; False: the color mapping alone."""
        return self.refine_network is not None

    @property
    def use_feature(self) -> bool:
        """Whether the refinement reads the backbone's features; False without refinement."""
        return self.refine_network is not None and self.refine_network.feature_channels > 0

    @property
    def training_size(self) -> int:
        """Height and width the backbone's weights were trained at."""
        return self.backbone.training_size

    @training_size.setter
    def training_size(self, size: int) -> None:
        self.backbone.training_size = size

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike[str], **where: Any) -> CO2Net:
        """Load a model from the Hugging Face Hub or from a folder, see :func:`co2net.models.hub.from_hub`."""
        from co2net.models.hub import from_hub

        return from_hub(name, **where)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> Path:
        """Write the model into a folder of the Hub's form, see :func:`co2net.models.hub.save_to_folder`."""
        from co2net.models.hub import save_to_folder

        return save_to_folder(self, folder)

    def push_to_hub(self, repository: str, **how: Any) -> str:
        """Upload the model to the Hugging Face Hub, see :func:`co2net.models.hub.push_to_hub`."""
        from co2net.models.hub import push_to_hub

        return push_to_hub(self, repository, **how)

    def for_pictures(self) -> CO2Net:
        """The model as single pictures want it, with the same weights.

        A network that can paint pictures of any size whole (CDTNet) does so: there are no neighbor frames whose LUTs
        would have to be averaged. Others stay as they are.
        """
        if self.refinement or not self.backbone.whole:
            return self
        backbone = copy.copy(self.backbone)
        backbone.paints = True
        return CO2Net(backbone, refinement=False, mapping="smooth", unseen_rule=self.unseen_rule).eval()

    def train(self, mode: bool = True) -> CO2Net:
        """Set the refinement's mode; the backbone stays in eval mode, since it is never trained here."""
        super().train(mode)
        self.backbone.eval()
        return self

    # The steps, one method each; `forward` and the streaming pipeline call the same ones.

    @torch.no_grad()
    def run_backbone(self, image: Tensor, mask: Tensor, **planes: Tensor) -> BackboneOutput:
        """Steps 1 and 2 (3 for a neighbor): one backbone pass without gradients; shapes as in :meth:`forward`.

        `planes` are further inputs of the full-size frame (:meth:`Backbone.prepare`), where the caller has it.
        """
        return self.backbone(image, mask, **planes)

    def frame_volume(self, image: Tensor, mask: Tensor, out: BackboneOutput) -> Tensor:
        """Part of step 5: what one frame tells, ``(B, 4, D, D, D)``; :meth:`ColorMapping.volume`."""
        return self.mapping.volume(image, mask, out)

    def color_mapping(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """Step 5: a (summed) volume as ``lut (B, 3, D, D, D)`` and ``count (B, D, D, D)``; :meth:`ColorMapping.lut`."""
        return self.mapping.lut(volume)

    def apply_mapping(
        self, lut: Tensor, count: Tensor, image: Tensor, mask: Tensor, backbone_image: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Steps 6 to 9: read the frame through the LUT; colors the LUT does not know come from the backbone.

        Args:
            lut: ``(B, 3, D, D, D)``.
            count: ``(B, D, D, D)``.
            image: composite ``(B, 3, H, W)`` in [0, 1].
            mask: ``(B, 1, H, W)`` in [0, 1].
            backbone_image: ``(B, 3, H, W)`` in [0, 1] space.

        Returns:
            ``(lut_output, unseen)``: ``(B, 3, H, W)`` in [0, 1] space and ``(B, 1, H, W)``.
        """
        read = trilinear.apply_lut(lut, image, count)
        blended = read * mask + image * (1 - mask)
        unseen = trilinear.unseen_map(count, image, rule=self.unseen_rule) * mask
        # Both blends multiply by the mask, which matters at soft edges; trained weights know this order.
        return blended * (1 - unseen) + unseen * backbone_image, unseen

    def refine(self, raw: Tensor, lut_output: Tensor, image: Tensor, features: Tensor | None) -> Tensor:
        """Step 10: merge backbone and color mapping.

        Args:
            raw: the backbone's own output ``(B, 3, H, W)``, normalized space, before the blend of step 2.
            lut_output: result of :meth:`apply_mapping`, [0, 1] space.
            image: composite ``(B, 3, H, W)`` in [0, 1].
            features: the backbone's ``(B, feature_channels, H, W)``; may be None where they are not used.

        Returns:
            ``(B, 3, H, W)`` in the normalized space; :meth:`finish` makes the frame of it.
        """
        return self._refinement()(raw, self.backbone.normalize(lut_output), image, features)

    def finish(self, refined: Tensor, mask: Tensor, image: Tensor) -> Tensor:
        """Step 11: back to [0, 1] space inside the mask, the composite outside."""
        return self.backbone.blend(refined, mask, image)

    def forward(
        self,
        image: Tensor,
        mask: Tensor,
        neighbor_images: Tensor | None = None,
        neighbor_masks: Tensor | None = None,
    ) -> CO2NetResult:
        """Harmonize a frame with the help of its neighbors.

        Args:
            image: composite ``(B, 3, H, W)`` in [0, 1], any size.
            mask: foreground ``(B, 1, H, W)`` in [0, 1], soft or hard.
            neighbor_images: composites ``(B, N, 3, H, W)`` in [0, 1]; order does not matter. None or N = 0: there
                is no color mapping, ``result.lut`` is the backbone's output and ``result.unseen`` the mask.
            neighbor_masks: ``(B, N, 1, H, W)``.

        Raises:
            ShapeError: if shapes, types or devices do not fit.
        """
        check_image(image)
        check_mask(mask, image)
        out = self.run_backbone(image, mask)
        own = self.frame_volume(image, mask, out) if self.mapping.counts_the_frame else None
        volume = self.window_volume(image, neighbor_images, neighbor_masks, own)
        mapping = None if volume is None else self.color_mapping(volume)
        return self.merge(out, mapping, image, mask)

    def merge(
        self, out: BackboneOutput, mapping: tuple[Tensor, Tensor] | None, image: Tensor, mask: Tensor
    ) -> CO2NetResult:
        """Steps 6 to 11: read the frame through the color mapping and refine.

        Args:
            out: result of :meth:`run_backbone` for this frame.
            mapping: result of :meth:`color_mapping`; None where there are no neighbors.
            image: composite ``(B, 3, H, W)`` in [0, 1].
            mask: ``(B, 1, H, W)`` in [0, 1].
        """
        if mapping is None:
            return self._merge(out, out.image, mask, image, mask)
        lut_output, unseen = self.apply_mapping(*mapping, image, mask, out.image)
        return self._merge(out, lut_output, unseen, image, mask)

    def window_volume(
        self, image: Tensor, images: Tensor | None, masks: Tensor | None, own: Tensor | None = None
    ) -> Tensor | None:
        """Steps 3 to 5: one backbone pass per neighbor, all volumes summed; None without any.

        Arguments as in :meth:`forward`; `own` is the frame's volume where it counts. The paper stacks all neighbors.
        """
        if images is None and masks is None:
            return own
        if images is None or masks is None:
            raise ShapeError("neighbor_images and neighbor_masks belong together; one of them is None")
        count = images.shape[1] if images.ndim == 5 else 0
        for name, tensor, channels in (("neighbor_images", images, 3), ("neighbor_masks", masks, 1)):
            wanted = (image.shape[0], count, channels, *image.shape[2:])
            if tuple(tensor.shape) != wanted:
                pattern = f"(B, N, {channels}, H, W)"
                raise ShapeError(f"{name} must be {pattern} = {wanted} to fit the frame, got {tuple(tensor.shape)}")
        if count == 0:
            return own
        # Item 0's neighbors first, then item 1's: a chunk may end one item and begin the next.
        flat_images, flat_masks = images.flatten(0, 1), masks.flatten(0, 1)
        usual = 1 if image.device.type == "cpu" else 16 * 256 * 256
        pixels = usual if self.neighbor_pixels is None else self.neighbor_pixels
        step = max(1, pixels // (image.shape[2] * image.shape[3]))
        windows = [ClipWindow(self.mapping) for _ in image]
        for start in range(0, len(flat_images), step):
            part = slice(start, start + step)
            out = self.run_backbone(flat_images[part], flat_masks[part])
            volumes = self.frame_volume(flat_images[part], flat_masks[part], out)
            for number, volume in enumerate(volumes.split(1), start):
                windows[number // count].add(number, volume)
        if own is not None:
            for window, volume in zip(windows, own.split(1), strict=True):
                window.add(len(flat_images), volume)
        sums = [window.volume(len(flat_images), dict.fromkeys(window.numbers, 1)) for window in windows]
        return torch.cat([total for total in sums if total is not None])

    def from_stored(
        self,
        image: Tensor,
        mask: Tensor,
        stored_lut_output: Tensor,
        stored_lut_map: Tensor,
        *,
        normalized_input: bool = False,
    ) -> CO2NetResult:
        """Refine with stored color mapping results instead of neighbors (HYouTube's stored LUT results).

        Args:
            image: composite ``(B, 3, H, W)`` in [0, 1].
            mask: ``(B, 1, H, W)``.
            stored_lut_output: ``result.lut`` of an earlier run, ``(B, 3, H, W)`` in [0, 1] space.
            stored_lut_map: its ``result.unseen``, ``(B, 1, H, W)`` or the official files' ``(B, 3, H, W)``.
            normalized_input: `image` is already normalized and no step converts, as in the released code. It mixes
                color spaces and exists here only, to reproduce the original's numbers; all results stay normalized.

        Raises:
            ShapeError: if shapes, types or devices do not fit.
        """
        check_image(image)
        check_mask(mask, image)
        check_image(stored_lut_output, "stored_lut_output")
        check_mask(stored_lut_map[:, :1], image, "stored_lut_map")
        if not normalized_input:
            out = self.run_backbone(image, mask)
            lut_output = stored_lut_output * (1 - stored_lut_map) + stored_lut_map * out.image
            return self._merge(out, lut_output, stored_lut_map, image, mask)
        with torch.no_grad():
            raw, features = self.backbone.run(image, mask)
        lut_output = stored_lut_output * (1 - stored_lut_map) + stored_lut_map * raw
        refined = self._refinement()(raw, lut_output, image, features)
        return CO2NetResult(image=refined, backbone=raw, lut=lut_output, unseen=stored_lut_map)

    def _merge(
        self, out: BackboneOutput, lut_output: Tensor, unseen: Tensor, image: Tensor, mask: Tensor
    ) -> CO2NetResult:
        """Steps 10 and 11, or what stands for them without refinement."""
        final, refined = lut_output, None
        if self.refinement:
            merged = self._refine_foreground(out, lut_output, image, mask)
            final, refined = self.finish(merged, mask, image), self.backbone.denormalize(merged)
        elif self.paper_lut_only:
            final = doubled_blend(lut_output, unseen, image, mask, out.image)
        return CO2NetResult(image=final, backbone=out.image, lut=lut_output, unseen=unseen, refined=refined)

    def _refine_foreground(self, out: BackboneOutput, lut_output: Tensor, image: Tensor, mask: Tensor) -> Tensor:
        """Step 10 where it shows: inside the mask's bounding box; the backbone's own output elsewhere.

        The box has a margin of the refinement's reach, so what is inside the mask is exactly the whole frame's result.
        In train mode batch norm looks at the whole frame.
        """
        features = out.features if self.use_feature else None
        if self.training:
            return self.refine(out.raw, lut_output, image, features)
        box = _bounding_box(mask, margin=self._refinement().reach)
        if box is None:
            return out.raw

        def cut(tensor: Tensor) -> Tensor:
            return tensor[..., box[0], box[1]]

        inside = self.refine(cut(out.raw), cut(lut_output), cut(image), None if features is None else cut(features))
        merged = out.raw.clone()
        cut(merged)[:] = inside
        return merged

    def _refinement(self) -> Refinement:
        if self.refine_network is None:
            raise Co2netError("this model was made with refinement=False: it has no refinement to run")
        return self.refine_network


def doubled_blend(lut_output: Tensor, unseen: Tensor, image: Tensor, mask: Tensor, backbone_image: Tensor) -> Tensor:
    """Fallback and mask blend a second time, as the published LUT-only numbers have it.

    Changes nothing where mask and `unseen` are 0 or 1. Arguments and result: ``(B, 3 or 1, H, W)`` in [0, 1] space,
    see :meth:`co2net.models.co2net.CO2Net.apply_mapping`.
    """
    lut_output = lut_output * (1 - unseen) + unseen * backbone_image
    return lut_output * mask + image * (1 - mask)


def _bounding_box(mask: Tensor, margin: int) -> tuple[slice, slice] | None:
    """Rows and columns that hold the masks ``(B, 1, H, W)`` of a batch; None if all are empty."""
    inside = (mask > 0).any(dim=0)[0]
    rows, columns = torch.nonzero(inside.any(dim=1)).flatten(), torch.nonzero(inside.any(dim=0)).flatten()
    if len(rows) == 0:
        return None
    first, last = (int(rows[0]), int(columns[0])), (int(rows[-1]), int(columns[-1]))
    top, left = (max(0, edge - margin) for edge in first)
    return slice(top, last[0] + 1 + margin), slice(left, last[1] + 1 + margin)
