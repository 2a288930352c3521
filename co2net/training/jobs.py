"""Trainings from paths and settings to a finished run: what the commands call, and pages and programs of one's own."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from co2net.data import read_dataset
from co2net.data.clips import with_previous
from co2net.data.samples import Sample
from co2net.devices import choose_device
from co2net.errors import InputError
from co2net.flow import FlowEstimator
from co2net.models.backbones import backbone_class
from co2net.models.checkpoints import infer_settings
from co2net.models.co2net import CO2Net
from co2net.models.registry import DEFAULT_BACKBONE, create_backbone, create_model, start_backbone, weights_path
from co2net.models.weight_header import read_header
from co2net.processes import process_group
from co2net.training.backbone import BackboneTask
from co2net.training.backbone_config import stage1_config
from co2net.training.clip_samples import StoredFolders
from co2net.training.color_changes import load_luts
from co2net.training.loop import LoopSettings, Summary, train
from co2net.training.refinement import BEST, RefinementTask
from co2net.training.refinement_config import Stage2Config
from co2net.training.task import Task
from co2net.training.temporal import TemporalConfig
from co2net.weight_files import read_weights
from trilinear._build import find_compiler

_NO_LUTS = (0, 3, 33, 33, 33)


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        summary: of the loop.
        path: the file that the run is for.
        held_out: number of validation pictures.
        best_epoch: of the best validation, counted from 1; 0: the start.
    """

    summary: Summary
    path: Path
    held_out: int
    best_epoch: int = 0


def train_backbone(
    dataset_path: Path,
    folder: Path,
    *,
    backbone: str = DEFAULT_BACKBONE,
    recipe: str | None = None,
    changes: Mapping[str, Any] | None = None,
    train_list: str | None = None,
    val_list: str | None = None,
    luts: str | None = None,
    init: str | None = None,
    temporal: TemporalConfig | None = None,
    estimate: FlowEstimator | None = None,
    device: str = "auto",
    time_limit: float | None = None,
    quiet: bool = False,
) -> Outcome:
    """Stage 1: train a backbone on pictures; goes on where `folder` holds a part of the same run.

    Args:
        dataset_path: pictures and masks, iHarmony4, HYouTube or clips.
        folder: of the run.
        backbone: registered name.
        recipe: one of the backbone's; None: its usual one.
        changes: to the recipe, see :func:`~co2net.training.backbone_config.stage1_config`.
        train_list: HYouTube list of training clips or frames.
        val_list: list of the held-out ones; with `train_list`.
        luts: folder of LUTs for making composites, where the data set has none.
        init: weights to start from; may hold a part of the network, such as CDTNet's generator.
        temporal: consistency of pairs of frames, with `estimate`, its flow.
        estimate: see `temporal`.
        device: as of :func:`~co2net.devices.choose_device`.
        time_limit: seconds after which the run stops with a checkpoint.
        quiet: show nothing.

    Raises:
        InputError: something given cannot be used; names it.
        DivergedError: the loss is not finite.
        KeyboardInterrupt: after a checkpoint was written.
    """
    kind = choose_device(device)
    if train_list and not val_list:
        raise InputError("`train_list` needs `val_list` too: the list of the held-out clips")
    samples, held_out = (_examples(dataset_path, n, p, temporal) for n, p in (("train", train_list), ("val", val_list)))
    if not samples[0].has_composite and not luts:
        raise InputError(f"{dataset_path} holds no composites; give `luts` to make them")
    own, other = (load_luts(luts, split) if luts else torch.zeros(_NO_LUTS) for split in ("train", "test"))
    config = stage1_config(backbone, recipe, samples=len(samples), temporal=temporal, **(changes or {}))
    if config.compiled and find_compiler() is None:
        raise InputError("`compiled` needs a C++ compiler (c++, g++, clang++, or the variable CXX); train without it")
    torch.manual_seed(config.seed)
    network_settings = {**backbone_class(backbone).settings_for(config.stretches[-1].size), **config.settings}
    network, missing = start_backbone(backbone, init, as_identity=config.start_as_identity, **network_settings)
    if missing:
        warnings.warn(f"{init} does not hold {missing}; these start anew", stacklevel=2)
    task = BackboneTask(network, samples, held_out, own, other, config, estimate)
    settings = LoopSettings(config.log_every, config.checkpoint_every, time_limit=time_limit, quiet=quiet)
    summary = train_on(kind, task, settings, folder)
    return Outcome(summary, folder / f"{backbone}.safetensors", len(held_out))


def train_on(device: torch.device, task: Task, settings: LoopSettings, folder: Path) -> Summary:
    """Train on a device, or on several of its kind if ``torchrun`` started more processes; see :mod:`.loop`."""
    with process_group(device) as processes:
        return train(task, settings, folder, processes)


def _examples(root: Path, split: str, path: str | None, temporal: TemporalConfig | None) -> list[Sample]:
    # Without a list the files are looked for when they are wanted: a data set may have ten thousands.
    samples = read_dataset(root, path, None if path else split, check_files=bool(path))
    if temporal:
        return with_previous(samples, temporal.frame_step, need_real=temporal.flow_input == "real")
    return samples


def train_refinement(
    dataset_path: Path,
    train_list: str,
    folder: Path,
    config: Stage2Config,
    *,
    val_list: str | None = None,
    backbone: str = "",
    backbone_type: str | None = None,
    use_feature: bool = False,
    checkpoint: str = "",
    mapping: Literal["paper", "smooth"] | None = None,
    stored: StoredFolders | None = None,
    device: str = "auto",
    time_limit: float | None = None,
    quiet: bool = False,
) -> Outcome:
    """Stage 2: train the refinement on clips; goes on where `folder` holds a part of the same run.

    Args:
        dataset_path: in HYouTube's layout.
        train_list: list of clips or frames.
        folder: as of :func:`train_backbone`, like the last three.
        config: settings.
        val_list: list of the held-out clips; without it the newest epoch counts as the best.
        backbone: weights of the backbone, or "default"; needed unless `checkpoint` is given.
        backbone_type: registered name.
        use_feature: feed the backbone's features to the refinement.
        checkpoint: full model to start from; its backbone replaces `backbone`.
        mapping: color mapping; None: as the weights ask.
        stored: folders of stored LUT outputs and LUT maps, with ``config.stored``.
        device: where to compute.
        time_limit: in seconds.
        quiet: show nothing.

    Raises:
        InputError, DivergedError, KeyboardInterrupt: as :func:`train_backbone`.
    """
    config.check()
    if not backbone and not checkpoint:
        raise InputError(
            '`backbone` is missing: give the weights of a trained backbone, "default" for those that ship, or a full '
            "model with `checkpoint`"
        )
    kind = choose_device(device)
    if config.precision == "fp16" and kind.type != "cuda":
        raise InputError(f"`precision` fp16 needs a CUDA GPU, and this runs on {kind.type}; use bf16 or fp32")
    samples = read_dataset(dataset_path, train_list, composites=True)
    held_out = read_dataset(dataset_path, val_list, composites=True) if val_list else []
    torch.manual_seed(config.seed)
    if checkpoint:
        model, name = _full_model(checkpoint, backbone_type, mapping)
    else:
        model, name = _fresh_refinement(backbone, backbone_type, config, mapping, use_feature=use_feature)
    task = RefinementTask(model, samples, held_out, config, stored, name)
    settings = LoopSettings(config.log_every, config.checkpoint_every, time_limit=time_limit, quiet=quiet)
    summary = train_on(kind, task, settings, folder)
    best_epoch = summary.progress.best_step // -(-len(samples) // config.batch_size)
    return Outcome(summary, folder / BEST, len(held_out), best_epoch)


def _full_model(path: str, backbone_type: str | None, mapping: Any) -> tuple[CO2Net, str]:
    model = create_model(backbone=backbone_type, weights=path, mapping=mapping)
    if not model.refinement:
        raise InputError(f"`checkpoint` {path} holds no refinement; give it as `backbone`")
    return model, backbone_type or infer_settings(read_weights(path).state).backbone or DEFAULT_BACKBONE


def _fresh_refinement(
    weights: str, backbone_type: str | None, config: Stage2Config, mapping: Any, *, use_feature: bool
) -> tuple[CO2Net, str]:
    name = backbone_type or DEFAULT_BACKBONE
    path = weights_path(weights, name, refinement=False)
    model = CO2Net(
        create_backbone(name, weights=path),
        use_feature=use_feature,
        mapping=mapping or read_header(path).mapping or "paper",  # type: ignore[arg-type]
    )
    if config.start == "lut" and model.refine_network is not None:
        model.refine_network.initialize_as_lut()
    return model, name
