"""Results and pictures that a report cannot be made of: one sentence each."""

import builtins
import json

import pytest
import report_example
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from report_example import put, remove

from co2net.errors import InputError
from co2net.evaluation.report import write_report


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("other", "format"), "it is not an evaluation"),
        (put(2, "version"), "its version is 2, this program reads 1"),
        (remove("title"), "title is missing"),
        (put([], "methods"), "methods is empty"),
        (put(["mse", "mse"], "metrics"), "metrics is empty or names something twice"),
        (put([], "clips"), "it holds no frames"),
        (put("x", "clips", 1), r"clips\[1\] should be an object, not str"),
        (remove("clips", 0, "frames", 2, "number"), r"clips\[0\].frames\[2\].number is missing"),
        (
            put("1.0", "clips", 0, "frames", 0, "scores", "final", "fmse"),
            r"scores.final.fmse should be a number, not str",
        ),
        (remove("summary", "lut", "mse"), "summary.lut.mse is missing"),
        (put(True, "summary", "lut", "mse", "frames"), "summary.lut.mse.frames should be a whole number, not bool"),
        (remove("weights", 0, "role"), r"weights\[0\].role is missing"),
        (put([{"name": "a", "folder": "../../etc"}], "pictures"), "leads out of the evaluation's folder"),
    ],
)
def test_unusable_results_are_one_sentence(tmp_path, change, message):
    folder = report_example.small_results(tmp_path)
    content = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    change(content)
    report_example.write(folder, content)
    with pytest.raises(
        InputError, match=f"results.json is not usable: .*{message}.*; run the evaluation again"
    ) as error:
        write_report(folder)
    assert "\n" not in str(error.value)
    assert not (folder / "report.html").exists()


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(InputError, match=r"results.json does not exist; give the folder that an evaluation wrote"):
        write_report(tmp_path)
    (tmp_path / "results.json").write_text('{"format": ')
    with pytest.raises(InputError, match=r"is not JSON .*; run the evaluation again"):
        write_report(tmp_path)
    (tmp_path / "results.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="is not JSON"):
        write_report(tmp_path)


def test_missing_and_broken_pictures(tmp_path):
    folder = report_example.small_results(
        tmp_path, pictures=[{"name": "video0_object_0_00005", "folder": "pictures/a"}]
    )
    with pytest.raises(InputError, match=r"composite.png, named in results.json, does not exist"):
        write_report(folder)
    place = folder / "pictures" / "a"
    place.mkdir(parents=True)
    for kind in (*report_example.METHODS, "truth", "mask"):
        Image.new("RGB", (8, 8)).save(place / f"{kind}.png")
    write_report(folder)
    Image.new("RGB", (8, 9)).save(place / "truth.png")
    with pytest.raises(InputError, match=r"truth.png is not as large as the others"):
        write_report(folder)
    (place / "lut.png").write_bytes((place / "lut.png").read_bytes()[:40])
    with pytest.raises(InputError, match=r"lut.png cannot be read"):
        write_report(folder)
    folder = report_example.small_results(tmp_path, pictures=[{"name": "unknown", "folder": "pictures/a"}])
    with pytest.raises(InputError, match="pictures of unknown, but no scores"):
        write_report(folder)


def test_without_jinja2(tmp_path, monkeypatch):
    original = builtins.__import__

    def refuse(name, *arguments, **options):
        if name == "jinja2":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r"needs Jinja2, which is not installed; pip install 'co2net\[report\]'"):
        write_report(report_example.small_results(tmp_path))


@settings(max_examples=30, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
    st.sampled_from(["title", "methods", "metrics", "clips", "summary", "extra", "weights", "pictures", "environment"]),
)
def test_anything_in_a_field_is_used_or_refused(tmp_path_factory, value, field):
    folder = report_example.small_results(tmp_path_factory.mktemp("any"))
    content = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    content[field] = value
    report_example.write(folder, content)
    try:
        write_report(folder)
    except InputError as error:
        assert "results.json" in str(error)
