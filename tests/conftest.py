"""Shared test set-up: one seed for every test, GPU cases skipped without a GPU (or failed where one is expected)."""

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


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available() or os.environ.get("CO2NET_EXPECT_CUDA") == "1":
        return
    for item in items:
        if "needs_cuda" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="no CUDA GPU on this machine"))
