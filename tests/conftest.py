"""Shared test set-up: one seed for every test, GPU cases skipped without a GPU (or failed where one is expected)."""

import importlib
import os
import random

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def _seed():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="module", autouse=True)
def _one_thread(request):
    """Frames here are tiny: threads would only wait for each other, the more so where tests run side by side."""
    before = torch.get_num_threads()
    if request.path.parent.name in ("cli", "evaluation", "pipeline", "training"):
        torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def registries():
    """What a test registers is gone after it; guests, who register themselves once and for all when imported, stay."""
    from co2net.evaluation.methods import METHODS
    from co2net.metrics.registry import METRICS, PAIR_MEASURES

    for guest in ("colorization", "matting"):
        importlib.import_module(f"co2net.{guest}.methods")
    kept = [(registry, dict(registry)) for registry in (METHODS, METRICS, PAIR_MEASURES)]
    yield
    for registry, entries in kept:
        registry.clear()
        registry.update(entries)


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available() or os.environ.get("CO2NET_EXPECT_CUDA") == "1":
        return
    for item in items:
        if "needs_cuda" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="no CUDA GPU on this machine"))
