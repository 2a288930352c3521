"""The .cube reader: every dialect in use, every way to be broken."""

import re

import numpy as np
import pytest
import torch
from color_mapping.grids import QUICK, identity
from hypothesis import given
from hypothesis import strategies as st

from co2net.color_mapping.cube import load_cube
from co2net.errors import InputError

NUMBERS = np.random.RandomState(5).uniform(-0.6, 1.9, (4**3, 3)).round(6)


def write(path, head="LUT_3D_SIZE 4\n", numbers=NUMBERS, form="{:.6f} {:.6f} {:.6f}", end="\n"):
    text = head + "".join(form.format(*row) + "\n" for row in numbers)
    path.write_bytes(text.replace("\n", end).encode("latin-1"))
    return path


def wanted(numbers=NUMBERS, size=4):
    return torch.tensor(np.asarray(numbers, np.float32)).reshape(size, size, size, 3).permute(3, 0, 1, 2)[None]


DIALECTS = {
    "only size, CRLF": ("LUT_3D_SIZE 4\n", "\r\n"),
    "comments and blank line, CRLF": ("# a\n# b\n#c\n#\n\nLUT_3D_SIZE 4\n", "\r\n"),
    "title, blank line after the size": ('TITLE "Generate by Resolve"\nLUT_3D_SIZE 4\n\n', "\n"),
    "Latin-1 comment": ("# 5600 K, 45\xb0 \x85 next\nLUT_3D_SIZE 4\n", "\r\n"),
    "domain 0..1": ("LUT_3D_SIZE 4\nDOMAIN_MIN 0.0 0.0 0.0\nDOMAIN_MAX 1.0 1.0 1.0\n", "\n"),
    "domain before the size": ("DOMAIN_MIN 0 0 0\nDOMAIN_MAX 1 1 1\nLUT_3D_SIZE 4\n", "\n"),
    "Resolve's input range": ("LUT_3D_SIZE 4\nLUT_3D_INPUT_RANGE 0.0 1.0\n\n", "\n"),
    "tabs": ("\tLUT_3D_SIZE\t4  \n", "\n"),
    "old Mac": ("# x\nLUT_3D_SIZE 4\n", "\r"),
    "title with a number sign": ('TITLE "look #3"\nLUT_3D_SIZE 4 # points\n', "\n"),
    "lower case": ("title x\nlut_3d_size 4\n", "\n"),
    "title without blank or quotes": ('Title"x"\nTITLE my look\nLut_3D_Size\t4\n', "\n"),
    "UTF-8 mark": ("\xef\xbb\xbfLUT_3D_SIZE 4\n", "\n"),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects(tmp_path, name):
    head, end = DIALECTS[name]
    lut = load_cube(write(tmp_path / "a.cube", head, end=end))
    assert lut.dtype == torch.float32 and lut.is_contiguous()
    assert torch.equal(lut, wanted())


def test_number_forms_and_comments_between(tmp_path):
    numbers = ["0 0 0", "1 1e0 +1.", ".5 -0.5 9.15541e-05", "# between", "1E-3 -1.85 2", ""] + ["0\t1  0 # black"] * 4
    (tmp_path / "a.cube").write_text("LUT_3D_SIZE 2\n" + "\n".join(numbers))  # no line end after the last line
    lut = load_cube(tmp_path / "a.cube")
    assert lut[0, :, 0, 1, 0].tolist() == [0.5, -0.5, float(np.float32(9.15541e-05))]
    assert lut[0, :, 0, 0, 1].tolist() == [1, 1, 1]  # the second line is red = 1
    assert lut[0, :, 1, 1, 1].tolist() == [0, 1, 0]


def test_utf16(tmp_path):
    path = write(tmp_path / "a.cube")
    path.write_bytes(path.read_text().encode("utf-16"))
    assert torch.equal(load_cube(path), wanted())


def test_str_path(tmp_path):
    assert torch.equal(load_cube(str(write(tmp_path / "a.cube"))), wanted())


@pytest.mark.parametrize(("low", "high"), [((-0.5, 0, 0.25), (1.5, 2, 0.75)), ((0, 0, 0), (1, 1, 2))])
def test_a_domain_is_resampled_onto_0_to_1(tmp_path, low, high):
    low, high = np.array(low), np.array(high)
    lines = [np.linspace(low[c], high[c], 9) for c in range(3)]
    # The table stores each grid point's own input color, so on 0..1 it must read as "clip to the domain".
    numbers = [[r, g, b] for b in lines[2] for g in lines[1] for r in lines[0]]
    head = "LUT_3D_SIZE 9\nDOMAIN_MIN {} {} {}\nDOMAIN_MAX {} {} {}\n".format(*low, *high)
    lut = load_cube(write(tmp_path / "a.cube", head, numbers))
    limits = [torch.tensor(x, dtype=torch.float32).view(1, 3, 1, 1, 1) for x in (low, high)]
    torch.testing.assert_close(lut, identity(9).clamp(*limits), atol=1e-6, rtol=0)


def test_resolve_input_range_is_a_domain(tmp_path):
    one = load_cube(write(tmp_path / "a.cube", "LUT_3D_SIZE 4\nLUT_3D_INPUT_RANGE -1 3\n"))
    two = load_cube(write(tmp_path / "b.cube", "LUT_3D_SIZE 4\nDOMAIN_MIN -1 -1 -1\nDOMAIN_MAX 3 3 3\n"))
    assert torch.equal(one, two)


LOW, SPAN = 16 / 255, 219 / 255  # limited range: (16 + 219 x) / 255


@pytest.mark.parametrize(("keywords", "scale"), [(("IN",), (LOW, SPAN)), (("OUT",), (-LOW / SPAN, 1 / SPAN))])
def test_limited_range_becomes_full_range(tmp_path, keywords, scale):
    # The table gives back what it is fed, so what is left is the conversion on that side.
    table = identity(9)[0].permute(1, 2, 3, 0).reshape(-1, 3).numpy()
    head = "".join(f"lut_{word}_video_range\n" for word in keywords) + "LUT_3D_SIZE 9\n"
    lut = load_cube(write(tmp_path / "a.cube", head, table, "{:.8f} {:.8f} {:.8f}"))
    torch.testing.assert_close(lut, scale[0] + scale[1] * identity(9), atol=1e-6, rtol=0)


def test_limited_range_on_both_sides_leaves_an_identity(tmp_path):
    head = "LUT_IN_VIDEO_RANGE\nLUT_OUT_VIDEO_RANGE\nLUT_3D_SIZE 9\nLUT_3D_INPUT_RANGE 0 1\n"
    table = identity(9)[0].permute(1, 2, 3, 0).reshape(-1, 3).numpy()
    lut = load_cube(write(tmp_path / "a.cube", head, table, "{:.8f} {:.8f} {:.8f}"))
    torch.testing.assert_close(lut, identity(9), atol=1e-6, rtol=0)


def test_limited_range_with_a_domain_and_with_a_shaper(tmp_path):
    # A table for inputs 0.1..0.9 that gives back what it is fed.
    table = (0.1 + 0.8 * identity(9))[0].permute(1, 2, 3, 0).reshape(-1, 3).numpy()
    body = "LUT_3D_SIZE 9\nLUT_3D_INPUT_RANGE 0.1 0.9\n"
    form = "{:.8f} {:.8f} {:.8f}"
    lut = load_cube(write(tmp_path / "a.cube", "LUT_IN_VIDEO_RANGE\n" + body, table, form))
    torch.testing.assert_close(lut, (LOW + SPAN * identity(9)).clamp(0.1, 0.9), atol=1e-6, rtol=0)
    shaper = np.array([[0, 0, 0], [1, 1, 1]])  # changes nothing
    head = "LUT_1D_SIZE 2\nLUT_IN_VIDEO_RANGE\n" + body
    lut = load_cube(write(tmp_path / "b.cube", head, np.concatenate([shaper, table]), form))
    torch.testing.assert_close(lut, (LOW + SPAN * identity(lut.shape[-1])).clamp(0.1, 0.9), atol=1e-6, rtol=0)


def test_a_shaper_is_worked_in(tmp_path):
    # Shaper: a square root per channel (red halved); table: identity. Together: the shaper's own curve.
    points = np.linspace(0, 1, 1024)
    shaper = np.stack([0.5 * points**0.5, points**0.5, 1 - points], axis=1)
    table = identity(5)[0].permute(1, 2, 3, 0).reshape(-1, 3).numpy()
    path = write(tmp_path / "a.cube", "LUT_3D_SIZE 5\nLUT_1D_SIZE 1024\n", np.concatenate([shaper, table]))
    lut = load_cube(path)
    assert lut.shape[-1] == 129
    r, g, b = identity(129)[0]
    torch.testing.assert_close(lut, torch.stack([0.5 * r**0.5, g**0.5, 1 - b])[None], atol=3e-4, rtol=0)


def test_a_straight_shaper_needs_no_finer_grid(tmp_path):
    table = np.random.RandomState(3).uniform(-0.2, 1.2, (27, 3)).round(6)
    numbers = np.concatenate([[[0, 0, 0], [0.5, 0.5, 0.5], [1, 1, 1]], table])
    lut = load_cube(write(tmp_path / "a.cube", "LUT_1D_SIZE 3\nLUT_3D_SIZE 3\n", numbers))
    torch.testing.assert_close(lut, wanted(table, 3), atol=1e-6, rtol=0)


def test_a_shaper_too_steep_is_told(tmp_path, caplog):
    shaper = np.repeat(np.linspace(0, 1, 4096)[:, None] ** 0.1, 3, axis=1)
    table = identity(3)[0].permute(1, 2, 3, 0).reshape(-1, 3).numpy()
    load_cube(write(tmp_path / "a.cube", "LUT_1D_SIZE 4096\nLUT_3D_SIZE 3\n", np.concatenate([shaper, table])))
    assert "a steep shaper" in caplog.text and "a.cube" in caplog.text


SIZE, ROWS = "LUT_3D_SIZE 2\n", "0 0 0\n" * 8
BROKEN = {
    "no size": (ROWS, "line 1: expected a LUT_3D_SIZE line before '0 0 0'"),
    "nothing": ("", "no LUT_3D_SIZE line"),
    "too few": (SIZE + ROWS[6:], "7 colors, but LUT_3D_SIZE 2 wants 8"),
    "too many": (SIZE + ROWS + "0 0 0\n", "line 10: more than the 8 colors"),
    "two numbers": (SIZE + "0 0\n" + ROWS[6:], "line 2: expected 3 numbers, got '0 0'"),
    "four numbers": (SIZE + "0 0 0\n0 0 0 1\n" + ROWS[12:], "line 3: expected 3 numbers, got '0 0 0 1'"),
    "word": (SIZE + "0 0 red\n" + ROWS[6:], "line 2: expected 3 numbers, got '0 0 red'"),
    "commas": (SIZE + "0,1 0,2 0,3\n" + ROWS[6:], "line 2: expected 3 numbers"),
    "underscore": (SIZE + "1_0 0 0\n" + ROWS[6:], "line 2: expected 3 numbers"),
    "nan": (SIZE + "0 nan 0\n" + ROWS[6:], "line 2: not a finite number in '0 nan 0'"),
    "nan first": (SIZE + "nan nan nan\n" + ROWS[6:], "line 2: not a finite number"),
    "infinity": (SIZE + "0 0 -inf\n" + ROWS[6:], "line 2: not a finite number"),
    "beyond float32": (SIZE + "0 1e39 0\n" + ROWS[6:], "line 2: not a finite number"),
    "1D": ("LUT_1D_SIZE 2\n0 0 0\n1 1 1\n", "line 1: LUT_1D_SIZE: this file is a 1D LUT"),
    "1D, keyword later": (
        "# x\nTITLE y\nlut_1d_size 2\n0 0 0\n1 1 1\n",
        "line 3: LUT_1D_SIZE: this file is a 1D LUT",
    ),
    "1D, no numbers": ("LUT_1D_SIZE 2\n", "line 1: LUT_1D_SIZE: this file is a 1D LUT"),
    "shaper missing": ("LUT_1D_SIZE 2\n" + SIZE + ROWS, "8 colors, but LUT_3D_SIZE 2 and LUT_1D_SIZE 2 wants 10"),
    "shaper twice": ("LUT_1D_SIZE 2\n" * 2, "line 2: a second LUT_1D_SIZE"),
    "shaper of one": ("LUT_1D_SIZE 1\n" + SIZE + ROWS, "line 1: LUT_1D_SIZE 1 is outside 2..65536"),
    "shaper's range empty": ("LUT_1D_SIZE 2\nLUT_1D_INPUT_RANGE 1 1\n" + SIZE + ROWS, "the shaper's range is empty"),
    "shaper and domain": ("LUT_1D_SIZE 2\nDOMAIN_MAX 1 1 2\n" + SIZE + ROWS, "line 2: DOMAIN_MAX beside LUT_1D_SIZE"),
    "range without shaper": (
        "LUT_1D_INPUT_RANGE 0 1\n" + SIZE + ROWS,
        "line 1: LUT_1D_INPUT_RANGE without LUT_1D_SIZE",
    ),
    "video range yes": ("LUT_IN_VIDEO_RANGE 1\n" + SIZE + ROWS, "line 1: LUT_IN_VIDEO_RANGE stands alone"),
    "keyword after colors": (SIZE + "0 0 0\nDOMAIN_MAX 1 1 2\n" + ROWS[6:], "line 3: DOMAIN_MAX after the first"),
    "keyword of three": (SIZE + "LUT_X 1 2\n" + ROWS, "line 2: expected 3 numbers, got 'LUT_X 1 2'"),
    "size 1": ("LUT_3D_SIZE 1\n0 0 0\n", "line 1: LUT_3D_SIZE 1 is outside 2..256"),
    "size 0": ("LUT_3D_SIZE 0\n", "outside 2..256"),
    "huge": ("LUT_3D_SIZE 100000\n0 0 0\n", "outside 2..256"),
    "very huge": ("LUT_3D_SIZE " + "9" * 5000 + "\n", "wants one whole number"),
    "negative": ("LUT_3D_SIZE -2\n", "wants one whole number, got '-2'"),
    "fraction": ("LUT_3D_SIZE 2.5\n", "wants one whole number"),
    "size missing": ("LUT_3D_SIZE\n", "wants one whole number, got ''"),
    "two sizes": (SIZE + SIZE + ROWS, "line 2: a second LUT_3D_SIZE"),
    "unknown keyword": (SIZE + "LUT_4D_SIZE 3\n" + ROWS, "line 2: expected 3 numbers, got 'LUT_4D_SIZE 3'"),
    "domain short": ("DOMAIN_MIN 0 0\n" + SIZE + ROWS, "line 1: expected 3 numbers, got '0 0'"),
    "domain nan": ("DOMAIN_MAX 1 1 nan\n" + SIZE + ROWS, "line 1: not a finite number"),
    "domain empty": (SIZE + "DOMAIN_MIN 0 1 0\n" + ROWS, "the domain is empty"),
    "range short": (SIZE + "LUT_3D_INPUT_RANGE 1\n" + ROWS, "line 2: expected 2 numbers"),
    "binary": ("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "not a text file"),
    "letters": ("%PDF-1.7 hello", "line 1: expected a LUT_3D_SIZE line before '%PDF-1.7 hello'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files(tmp_path, name):
    text, message = BROKEN[name]
    path = tmp_path / "broken.cube"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load_cube(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none\.cube: No such file"):
        load_cube(tmp_path / "none.cube")
    with pytest.raises(InputError, match="cannot read"):
        load_cube(tmp_path)


def test_a_file_too_large_is_not_read(tmp_path):
    path = tmp_path / "film.mov"
    with path.open("wb") as file:
        file.truncate(3 << 30)  # sparse: takes no space
    with pytest.raises(InputError, match=r"larger than any \.cube file"):
        load_cube(path)


@QUICK
@given(data=st.binary(max_size=300))
def test_junk_never_crashes(tmp_path, data):
    path = tmp_path / "junk.cube"
    path.write_bytes(data)
    with pytest.raises(InputError):
        load_cube(path)


@QUICK
@given(
    lines=st.lists(
        st.text('LUT_3DSIZE0123456789.eE+-# \t"naif', max_size=20)
        | st.sampled_from(
            ["0 0 0", "1 .5 -1e-3", "LUT_1D_SIZE 2", "LUT_1D_INPUT_RANGE 0 2", "LUT_IN_VIDEO_RANGE", "DOMAIN_MAX 1 1 2"]
        ),
        max_size=16,
    ),
    at=st.integers(0, 12),
)
def test_lines_of_junk_never_crash(tmp_path, lines, at):
    path = tmp_path / "junk.cube"
    path.write_text("\n".join([*lines[:at], "LUT_3D_SIZE 2", *lines[at:]]))
    try:
        assert load_cube(path).isfinite().all()
    except InputError as error:
        assert str(path) in str(error)


@QUICK
@given(
    rows=st.lists(st.lists(st.floats(-3, 3).map(lambda x: f"{x:.7g}"), min_size=3, max_size=3), min_size=8, max_size=8),
    gaps=st.lists(st.sampled_from([" ", "\t", "  "]), min_size=2, max_size=2),
    head=st.lists(st.sampled_from(["# note", "", "TITLE x", '\ttitle "y 1 2 3"']), max_size=4),
    end=st.sampled_from(["\n", "\r\n", "\r", " \n\n", " # 0 0 0\n"]),
)
def test_any_way_to_write_a_table_reads_the_same(tmp_path, rows, gaps, head, end):
    text = end.join([*head, "lut_3d_size 2", *(gaps[0] + gaps[1].join(row) for row in rows)])
    (tmp_path / "a.cube").write_bytes(text.encode())
    assert torch.equal(load_cube(tmp_path / "a.cube"), wanted(np.array(rows, float), 2))
