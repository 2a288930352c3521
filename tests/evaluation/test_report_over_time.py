"""Measures over time in the report: tables, columns per flow, numbers of the curves, bad files."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from evaluation import report_example
from evaluation.report_example import put, remove
from evaluation.test_report import ATTACK, Page, embedded

from co2net.errors import InputError
from co2net.evaluation.report import results as report_results
from co2net.evaluation.report import write_report
from co2net.evaluation.report.tables import published_rows, temporal_columns
from co2net.evaluation.temporal.pairs import FlowChoice
from co2net.evaluation.temporal.results import add_block, make_block, pairs_in_words
from co2net.metrics.registry import CLIP_MEASURES, pair_measures_of

METHODS = [*report_example.METHODS, "truth"]
MEASURES = [*(measure.key for measure in pair_measures_of("harmonization")), *CLIP_MEASURES]
SCRIPT = Path(report_results.__file__).parent / "templates" / "report.js"


def block(flow="dis", pairs="4 pairs of listed frames at 256 x 256, 5 frame numbers apart", methods=METHODS, name="v"):
    clips = [
        {
            "clip": f"{name}{c}/object_0",
            "numbers": [0, 5, 10],
            "values": {
                method: {m: [None, 1000.0 + 100 * i + 10 * k + c, None] for k, m in enumerate(MEASURES)}
                for i, method in enumerate(methods)
            },
        }
        for c in range(2)
    ]
    return make_block(clips, methods, MEASURES, FlowChoice(flow), pairs, 5)


@pytest.fixture
def folder(tmp_path):
    return report_example.small_results(tmp_path / "out", temporal=block())


def texts(folder):
    page, markdown = write_report(folder)
    return page.read_text(encoding="utf-8"), markdown.read_text(encoding="utf-8")


def test_every_mean_stands_in_page_and_markdown_with_its_flow(folder):
    page, markdown = texts(folder)
    words = Page(page).text
    assert Page(page).open == []
    for i in range(len(METHODS)):
        for k in range(len(MEASURES)):
            text = f"{1000 + 100 * i + 10 * k + 0.5:.2f}"
            assert text in words and text in markdown
    for title in ("TL (DIS)", "TL weighted (DIS)", "TL visible (DIS)", "R-RTC", "fR-RTC", "flicker"):
        assert title in markdown and title.split(" (")[0] in words
    assert "2 left out of the mean" in words and "flicker (DIS)" not in markdown


def test_the_curves_have_every_value_and_color(folder):
    (data,) = embedded(texts(folder)[0])["over_time"]
    assert [method["label"] for method in data["methods"]][-1] == "Truth"
    assert [method["color"] for method in data["methods"]] == [0, 1, 2, 3, 4]
    assert data["clips"][1]["values"][4][2] == [None, 1421.0, None]
    assert len(data["clips"][0]["values"]) == 5 and len(data["clips"][0]["values"][0]) == len(MEASURES)


def test_the_script_finds_whatever_it_looks_for(folder):
    """Stands in for a browser: each id that the script asks for is on the page."""
    wanted = set(re.findall(r'(?:byId|new Chart)\("([\w-]+)"', SCRIPT.read_text(encoding="utf-8")))
    wanted |= set(re.findall(r'options\("([\w-]+)"', SCRIPT.read_text(encoding="utf-8")))
    assert {"chart-time", "time-source", "chart-frames"} <= wanted
    assert wanted <= set(Page(texts(folder)[0]).ids)


def test_without_measures_over_time_nothing_of_it_is_there(tmp_path):
    page, markdown = texts(report_example.small_results(tmp_path))
    assert embedded(page)["over_time"] == [] and 'id="time"' not in page and "Over time" not in markdown
    assert "measured none" in Page(page).text and "TL (FlowNet2)" in markdown
    assert re.search(r"if \(!data\.over_time\.length\) return", page)


def test_other_flows_and_pairs_have_columns_of_their_own(folder):
    stored = pairs_in_words(78, [(256, 256)], 1)
    add_block(folder, block("dis", stored))
    results = report_results.read_results(folder)
    assert [title for title, _ in temporal_columns(results)] == ["TL (DIS)", "TL (DIS)", "TL (FlowNet2)"]
    rows = {row.label: [cell.text for cell in row.cells][4:] for row in published_rows(results)}
    assert rows["Final"] == ["1300.50", "1300.50", "–"]
    assert rows["CO2Net (iSSAM, 8 + 8 neighbors)"] == ["–", "–", "5.11"]
    assert rows["iSSAM, per frame"][-1] == "6.48" and rows["“Huang”: iSSAM with a flow term"][-1] == "6.49"
    # The published flow over the published pairs stands beside the published values; over others, it does not.
    add_block(folder, block("flownet2", stored))
    add_block(folder, block("flownet2", pairs_in_words(77, [(256, 256)], 1)))
    results = report_results.read_results(folder)
    assert [title for title, _ in temporal_columns(results)] == [
        "TL (DIS)", "TL (DIS)", "TL (FlowNet2)", "TL (FlowNet2)"
    ]  # fmt: skip
    rows = {row.label: [cell.text for cell in row.cells][4:] for row in published_rows(results)}
    assert rows["Final"][-1] == "1300.50" and "FlowNet2, 78 pairs" in texts(folder)[0]
    page, markdown = texts(folder)
    assert Page(page).open == []
    for lines in re.findall(r"(?:^\|.*\n)+", markdown, re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines.splitlines()}) == 1


def test_runs_of_several_methods_join(tmp_path):
    stored = pairs_in_words(4, [(64, 64)], 1)
    add_block(tmp_path, block("dis", stored, methods=["composite", "huang", "truth"]))
    add_block(tmp_path, block("dis", stored, methods=["composite", "final", "truth"]))
    add_block(tmp_path, block("dis", stored, methods=["composite", "final", "truth"], name="w"))
    first, second = json.loads((tmp_path / "temporal.json").read_text())["blocks"]
    assert first["methods"] == ["composite", "final", "huang", "truth"] and second["methods"][1] == "final"
    assert set(first["clips"][0]["values"]) == set(first["summary"]) == set(first["methods"])
    assert not list(tmp_path.glob(".*"))


def test_names_over_time_are_only_printed(tmp_path):
    hostile = block(ATTACK, ATTACK)
    hostile["clips"][0]["clip"] = ATTACK
    page, markdown = texts(report_example.small_results(tmp_path, temporal=hostile))
    assert page.count("<script") == 2 and "<img src=x" not in page and Page(page).open == []
    assert embedded(page)["over_time"][0]["clips"][0]["name"] == ATTACK
    assert "<script" not in markdown and "<img" not in markdown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("x", "temporal"), "temporal should be an object, not str"),
        (remove("temporal", "flow"), "temporal.flow is missing"),
        (put([], "temporal", "methods"), "temporal.methods is empty"),
        (remove("temporal", "summary", "lut"), "temporal.summary.lut is missing"),
        (put("1", "temporal", "summary", "lut", "tl", "mean"), "summary.lut.tl.mean should be a number, not str"),
        (put([1.0], "temporal", "clips", 0, "values", "lut", "tl"), "values.lut.tl has 1 values for 3 frames"),
        (put(["a", 1, 2], "temporal", "clips", 0, "numbers"), r"clips\[0\].numbers\[0\] should be a whole number"),
        (put(5, "temporal", "clips", 1), r"clips\[1\] should be an object"),
    ],
)
def test_unusable_blocks_are_one_sentence(folder, change, message):
    content = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    change(content)
    report_example.write(folder, content)
    with pytest.raises(InputError, match=f"results.json is not usable: .*{message}.*; run the evaluation again"):
        write_report(folder)


def test_a_damaged_file_beside_the_results_is_named(folder):
    for damaged in ("{", "[]", '{"format": "co2net-temporal", "version": 1, "blocks": [5]}'):
        (folder / "temporal.json").write_text(damaged)
        with pytest.raises(InputError, match=r"temporal\.json .*delete it and measure again"):
            write_report(folder)
    broken = {"format": "co2net-temporal", "version": 1, "blocks": [{"clips": [3]}]}
    (folder / "temporal.json").write_text(json.dumps(broken))
    with pytest.raises(InputError, match=r"temporal\.json .*delete it and measure again"):
        add_block(folder, block())
    with pytest.raises(InputError, match=r"temporal\.json, blocks\[0\].flow is missing"):
        write_report(folder)


def test_infinite_values_do_not_break_the_page(tmp_path):
    odd = block()
    odd["clips"][0]["values"]["final"]["tl"][1] = math.inf
    page, _ = texts(report_example.small_results(tmp_path, temporal=odd))
    assert embedded(page)["over_time"][0]["clips"][0]["values"][3][0][1] is None
