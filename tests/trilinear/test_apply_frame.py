"""LUTs applied to decoded frames: closed forms, windows and masks, the kernel against the definition, arguments."""

import lut_cases
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import trilinear
from trilinear import _native, cpp, reference

LARGEST = {np.uint8: 255, np.uint16: 65535}


def frame_of(height, width, dtype, seed=0):
    """Random codes, a quarter of them the darkest or the brightest."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, LARGEST[dtype] + 1, (height, width, 3))
    ends = generator.random(codes.shape) < 0.25
    return np.where(ends, generator.integers(0, 2, codes.shape) * LARGEST[dtype], codes).astype(dtype)


def mask_of(height, width, kind, seed=0):
    """Random soft mask with whole empty stretches."""
    generator = np.random.default_rng(seed + 1)
    mask = generator.random((height, width)).astype(np.float32)
    mask[generator.random((height, width)) < 0.3] = 0
    mask[:, width // 3 : width // 2] = 0
    return None if kind is None else mask if kind == "float" else (mask * 255).astype(np.uint8)


def random_lut(dim, seed=1):
    return torch.rand((1, 3, dim, dim, dim), generator=torch.Generator().manual_seed(seed)) * 1.4 - 0.2  # to be clamped


# ---- known values ----


@pytest.mark.parametrize("dtype", LARGEST)
def test_identity_lut_changes_nothing(backend, dtype):
    frame = frame_of(9, 37, dtype)
    done = trilinear.apply_lut_frame(lut_cases.identity(33).float() * 1.000001, frame)
    assert done.dtype == frame.dtype and done is not frame
    assert np.abs(done.astype(int) - frame).max() <= (0 if dtype is np.uint8 else 1)


def test_constant_lut_blends_by_mask_and_strength(backend):
    lut = torch.ones(1, 3, 2, 2, 2) * torch.tensor([1.0, 0.5, -3.0]).view(1, 3, 1, 1, 1)
    frame = np.full((1, 4, 3), 100, np.uint8)
    mask = np.array([[0, 0.5, 1, 1e-9]], np.float32)
    done = trilinear.apply_lut_frame(lut, frame, mask, strength=0.5)
    # 100 + 0.25 (255 - 100) = 138.75; (127.5 - 100) / 4 = 6.875; the last channel is clamped
    assert done[0].tolist() == [[100, 100, 100], [139, 107, 0], [178, 114, 0], [100, 100, 100]]
    bytes_mask = np.array([[0, 255, 1, 0]], np.uint8)
    done = trilinear.apply_lut_frame(lut, frame, bytes_mask)
    assert done[0].tolist() == [[100, 100, 100], [255, 128, 0], [101, 100, 97], [100, 100, 100]]


def test_ties_go_to_the_even_code(backend):
    frame = np.array([[[11, 13, 14]]], np.uint8)  # halved
    assert trilinear.apply_lut_frame(torch.zeros(1, 3, 2, 2, 2), frame, strength=0.5).tolist() == [[[6, 6, 7]]]


@pytest.mark.parametrize("dtype", LARGEST)
def test_agrees_with_apply_lut(backend, dtype):
    lut, frame, largest = random_lut(17), frame_of(20, 150, dtype), LARGEST[dtype]
    image = torch.from_numpy(frame.astype(np.float32) / largest).permute(2, 0, 1)[None]
    wanted = (trilinear.apply_lut(lut, image).clamp(0, 1) * largest)[0].permute(1, 2, 0)
    done = trilinear.apply_lut_frame(lut, frame).astype(np.float32)
    assert np.abs(done - wanted.numpy()).max() < 0.51 + largest * 1e-6


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan")])
def test_nothing_changes_outside_the_mask(backend, weight):
    frame = frame_of(5, 200, np.uint16)
    mask = np.full((5, 200), weight, np.float32)
    mask[2, 70:90] = 1
    done = trilinear.apply_lut_frame(random_lut(5), frame, mask)
    changed = (done != frame).any(2)
    assert changed[2, 70:90].any() and not changed[~(mask > 0)].any()


@settings(max_examples=25, deadline=None)
@given(data=st.data(), height=st.integers(0, 9), width=st.integers(0, 150))
def test_a_window_is_the_whole_inside_and_the_frame_outside(data, height, width):
    rows = slice(*(data.draw(st.none() | st.integers(-12, 12)) for _ in range(2)))
    columns = slice(*(data.draw(st.none() | st.integers(-160, 160)) for _ in range(2)))
    frame, mask = frame_of(height, width, np.uint8), mask_of(height, width, "float")
    wanted = frame.copy()
    wanted[rows, columns] = trilinear.apply_lut_frame(random_lut(5), frame, mask)[rows, columns]
    assert np.array_equal(trilinear.apply_lut_frame(random_lut(5), frame, mask, window=(rows, columns)), wanted)


def test_arrays_tensors_and_layouts(backend):
    frame, mask = frame_of(12, 40, np.uint16), mask_of(12, 40, "uint8")
    wanted = trilinear.apply_lut_frame(random_lut(5), frame, mask)
    before = frame.copy()
    done = trilinear.apply_lut_frame(random_lut(5), torch.from_numpy(frame), torch.from_numpy(mask))
    assert isinstance(done, torch.Tensor) and done.dtype == torch.uint16 and np.array_equal(done.numpy(), wanted)
    planar = np.ascontiguousarray(frame.transpose(2, 0, 1)).transpose(1, 2, 0)
    flipped = np.ascontiguousarray(frame[:, ::-1])[:, ::-1]
    locked = frame.copy()
    locked.flags.writeable = False
    turned = random_lut(5).permute(0, 4, 3, 2, 1).contiguous().permute(0, 4, 3, 2, 1)
    for other in (planar, flipped, locked):
        assert np.array_equal(trilinear.apply_lut_frame(turned, other, mask), wanted)
    assert np.array_equal(frame, before)


# ---- kernel against definition ----


@pytest.mark.parametrize("kind", [None, "float", "uint8"])
@pytest.mark.parametrize("dtype", LARGEST)
@pytest.mark.parametrize(("dim", "height", "width"), [(2, 1, 1), (3, 5, 15), (16, 7, 129), (33, 90, 301)])
def test_kernel_equals_definition(dim, height, width, dtype, kind):
    lut_cases.needs_kernel()
    frame, mask = torch.from_numpy(frame_of(height, width, dtype)), mask_of(height, width, kind)
    given = (random_lut(dim), frame, None if mask is None else torch.from_numpy(mask), 0.8, (0, height, 0, width))
    actual, wanted = cpp.apply_lut_frame(*given).numpy().astype(int), reference.apply_lut_frame(*given).numpy()
    off = np.abs(actual - wanted)
    assert off.max() <= 1 and (off > 0).mean() < (1e-4 if dtype is np.uint8 else 5e-3)


def test_instruction_sets_and_threads_agree_to_the_bit():
    lut_cases.needs_kernel()
    kernel, threads = _native.library("trilinear"), torch.get_num_threads()
    assert kernel is not None
    kinds = (None, "float", "uint8")
    cases = [(frame_of(300, 401, dtype), mask_of(300, 401, kind)) for dtype in LARGEST for kind in kinds]
    results = []
    try:
        for newest, workers in ((2, 1), (1, 2), (0, 3)):
            kernel.co2net_limit_instructions(newest)
            torch.set_num_threads(workers)
            results.append([trilinear.apply_lut_frame(random_lut(33), frame, mask, 0.7) for frame, mask in cases])
    finally:
        kernel.co2net_limit_instructions(2)
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


# ---- arguments ----


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frame": np.zeros((4, 5), np.uint8)}, r"frame must be \(H, W, 3\)"),
        ({"frame": np.zeros((4, 5, 4), np.uint8)}, r"frame must be \(H, W, 3\)"),
        ({"frame": np.zeros((4, 5, 3), np.float32)}, "there is apply_lut"),
        ({"frame": np.zeros((4, 5, 3), object)}, "not known"),
        ({"frame": torch.zeros(4, 5, 3, dtype=torch.uint8, device="meta")}, "lut is on cpu, frame is on meta"),
        ({"lut": torch.rand(2, 3, 4, 4, 4)}, r"lut must be \(1, 3, D, D, D\)"),
        ({"lut": torch.rand(1, 3, 4, 4, 4).double()}, r"call .float\(\)"),
        ({"lut": torch.full((1, 3, 4, 4, 4), float("nan"))}, "lut holds NaN"),
        ({"mask": np.zeros((5, 4), np.float32)}, r"mask must be \(4, 5\)"),
        ({"mask": np.zeros((4, 5), bool)}, "convert it"),
        ({"mask": torch.zeros(4, 5, device="meta")}, "move one of them"),
        ({"strength": float("inf")}, "strength must be a finite"),
        ({"window": (slice(0, 4, 2), slice(None))}, "without steps"),
        ({"window": (slice(None),)}, "two slices"),
    ],
)
def test_wrong_arguments(change, words):
    given = {"lut": random_lut(4), "frame": np.zeros((4, 5, 3), np.uint8)}
    with pytest.raises(ValueError, match=words):
        trilinear.apply_lut_frame(**(given | change))


def test_unknown_instructions_are_refused(monkeypatch):
    lut_cases.needs_kernel()
    monkeypatch.setattr(_native, "_libraries", {})
    monkeypatch.setenv("CO2NET_INSTRUCTIONS", "avx3")
    with pytest.raises(ValueError, match="one of plain, avx2, avx512, not avx3"):
        _native.library("trilinear")
