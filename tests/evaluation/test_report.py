"""The report of an evaluation: what it says, that it stands alone, that it is honest and robust."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import report_example
from PIL import Image

from co2net.evaluation import published
from co2net.evaluation.report import figures, tables, write_report
from co2net.evaluation.report.figures import curve_data
from co2net.evaluation.report.results import read_results
from co2net.metrics.registry import ordered


class Page(HTMLParser):
    """What a browser would load, show and describe."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.links, self.images, self.words, self.ids, self.open = [], [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag not in {"meta", "img", "br", "input", "link"}:
            self.open.append(tag)
        self.addresses += [values[name] for name in ("src", "srcset", "data", "poster") if values.get(name)]
        self.links += [values["href"]] if tag == "a" else []
        self.addresses += [values["href"]] if tag == "link" else []
        self.ids += [values["id"]] if "id" in values else []
        if tag == "img":
            self.images.append(values)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = report_example.sample_results(tmp_path_factory.mktemp("sample"), frames_per_clip=3, pictures=5, size=64)
    page, markdown = write_report(folder)
    return folder, page.read_text(encoding="utf-8"), markdown.read_text(encoding="utf-8")


def embedded(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def test_writes_both_files_and_nothing_else(sample):
    folder, _, _ = sample
    assert {path.name for path in folder.iterdir()} == {"results.json", "pictures", "report.html", "report.md"}


def test_the_page_is_well_formed_and_stands_alone(sample):
    page = Page(sample[1])
    assert page.open == []
    assert page.addresses and all(address.startswith("data:image/") for address in page.addresses)
    assert "default-src 'none'" in sample[1]
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert {link for link in page.links if not link.startswith("#")} == set(published.SOURCES.values())


def test_every_mean_is_in_both_tables(sample):
    folder, page, markdown = sample
    results = read_results(folder)
    words = Page(page).text
    for method in results.methods:
        for metric in ordered(results.metrics):
            text = metric.text(results.summary[method][metric.key].mean)
            assert text in words and text in markdown
    assert "as published (“paper”)" in words and "standard" in words


def test_published_rows_have_their_values_sources_and_warning(sample):
    _, page, markdown = sample
    words = Page(page).text
    for row in published.ROWS:
        assert row.method in words and row.method in markdown
        assert all(source in published.SOURCES for source in row.sources)
        for value in (row.mse, row.fmse, row.psnr, row.temporal_loss):
            assert value is not None and f"{value:.2f}" in words
    assert "Not comparable: these are means over 9 frames of 3 clips" in words
    assert "**Not comparable" in markdown


def test_pictures_have_alternatives_and_error_maps(sample):
    page = sample[1]
    images = [image for image in Page(page).images if image.get("src")]
    assert len(images) == 5 * 8 + 1  # and the color bar
    assert all(image["alt"] for image in images)
    alternatives = [image["alt"] for image in images]
    assert len(set(alternatives)) == len(alternatives)
    for image in images:
        kind, data = re.fullmatch(r"data:image/(jpeg|png);base64,(.*)", image["src"]).groups()
        decoded = Image.open(io.BytesIO(base64.b64decode(data)))
        assert decoded.format == kind.upper()
        assert decoded.size == ((256, 1) if "Color bar" in image["alt"] else (64, 64))


def test_rows_run_from_worst_to_best(sample):
    results = read_results(sample[0])
    gallery = figures.make_gallery(results)
    errors = [float(dict(row.scores)["Final"]) for row in (*gallery.worst, *gallery.best[::-1])]
    assert errors == sorted(errors, reverse=True) and len(errors) == gallery.stored == 5


def test_error_map_colors():
    truth = np.full((2, 2, 3), 100, np.uint8)
    picture = truth.copy()
    picture[0, 0] += 32
    picture[0, 1, 0] += 48  # one channel: a third
    error = figures._error(picture, truth)
    assert error.tolist() == [[32, 16], [0, 0]]
    colors = figures._colors(error, 32).astype(int).sum(axis=2)
    assert colors[0, 0] > colors[0, 1] > colors[1, 0] == colors[1, 1]
    assert figures._scale([error]) == 32
    assert figures._scale([0 * error]) == 8 and figures._scale([]) == 8
    assert figures._scale([error * 8]) == 255


def test_curves_hold_the_scores(sample):
    folder, page, _ = sample
    data = embedded(page)
    results = read_results(folder)
    assert [clip["name"] for clip in data["clips"]] == [clip.name for clip in results.clips]
    order = [metric.key for metric in ordered(results.metrics)]
    for clip, drawn in zip(results.clips, data["clips"], strict=True):
        for m, method in enumerate(results.methods):
            for k, key in enumerate(order):
                wanted = clip.column(method, key)
                np.testing.assert_allclose(drawn["scores"][m][k], wanted, rtol=6e-4)
    assert data["metrics"][data["metric"]]["label"] == "fMSE (standard)"
    assert data["methods"][data["result"]]["key"] == "final"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"composite": 100, "backbone": 40, "final": 20},
            "80.0 % less than the composite (100.00) and 50.0 % less than",
        ),
        ({"composite": 100, "backbone": 40, "final": 150}, "50.0 % more than the composite (100.00) and 275.0 % more"),
        ({"composite": 100, "backbone": 100, "final": 100}, "the same as the composite (100.00) and the same as the"),
        ({"composite": 100, "backbone": 0, "final": 50}, "50.0 % less than the composite (100.00)."),
    ],
)
def test_the_headline_is_honest(tmp_path, values, sentence):
    methods = ["composite", "backbone", "final"]
    folder = report_example.small_results(tmp_path, lambda method, *_: values[method], methods=methods)
    results = read_results(folder)
    assert sentence in tables.headline(results)
    write_report(folder)
    assert sentence in Page((folder / "report.html").read_text(encoding="utf-8")).text


def test_wins_count_frames(tmp_path):
    # Better in clip 0, worse in one frame of clip 1, equal in the others.
    def score(method, clip, frame):
        return 100 if method == "composite" else 50 if clip == 0 else 200 if frame == 0 else 100

    results = read_results(report_example.small_results(tmp_path, score))
    assert tables.wins(results) == (
        "It is nearer to the truth than the composite in 3 of 6 frames (50.0 %), and farther from it in 1 (16.7 %)."
    )


def test_best_of_a_column_follows_the_metric(tmp_path):
    results = read_results(report_example.small_results(tmp_path))
    metrics = {metric.key: i for i, metric in enumerate(ordered(results.metrics))}
    rows = tables.method_rows(results, list(ordered(results.metrics)))
    best = {key: [row.label for row in rows if row.cells[i].best] for key, i in metrics.items()}
    assert best["fmse"] == ["Final"] and best["psnr"] == ["Composite"]


def test_skipped_frames_are_named(tmp_path):
    def score(method, clip, frame):
        return None if (clip, frame) == (1, 2) else 10.0

    folder = report_example.small_results(tmp_path, score, metrics=["mse", "fmse"])
    write_report(folder)
    words = Page((folder / "report.html").read_text(encoding="utf-8")).text
    assert "fMSE (standard): 1 frame left out of the mean: video1_object_0_00010." in words
    assert embedded((folder / "report.html").read_text(encoding="utf-8"))["clips"][1]["scores"][0][0][2] is None


def test_nothing_measurable_is_said_plainly(tmp_path):
    folder = report_example.small_results(tmp_path, lambda *_: None)
    write_report(folder)
    words = Page((folder / "report.html").read_text(encoding="utf-8")).text
    assert "No error could be computed for “Final”." in words and "nan" not in words.lower().split()


def test_infinite_values(tmp_path):
    folder = report_example.small_results(tmp_path, lambda *_: float("inf"), metrics=["psnr"], methods=["composite"])
    page, _ = write_report(folder)
    text = page.read_text(encoding="utf-8")
    assert "∞" in Page(text).text and embedded(text)["clips"][0]["scores"][0][0] == [None] * 3


@pytest.mark.parametrize("methods", [["composite"], ["backbone"], ["composite", "lut"], ["composite", "reinhard"]])
def test_any_choice_of_methods(tmp_path, methods):
    folder = report_example.small_results(
        tmp_path, lambda *_: 5.0, methods=methods, metrics=["psnr", "mse", "lpips"], environment={"git": None}
    )
    write_report(folder)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "lpips" in Page(text).text and "not a checkout" in Page(text).text


def test_the_size_of_the_test_set_lifts_the_warning(tmp_path):
    results = read_results(report_example.small_results(tmp_path))
    assert tables.comparability(results)[0] is False
    clip = results.clips[0]
    results.clips[:] = [clip] * (published.TEST_FRAMES // 3)
    comparable, note = tables.comparability(results)
    assert comparable and "only if" in note


ATTACK = "</script><script>alert(1)</script>|`<img src=x onerror=alert(1)>"


def test_names_are_only_printed(tmp_path):
    folder = report_example.small_results(
        tmp_path, title=ATTACK, settings={ATTACK: ATTACK}, protocol={ATTACK: ATTACK},
        weights=[{"role": ATTACK, "name": ATTACK, "sha256": ATTACK}],
    )  # fmt: skip
    content = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    content["clips"][0]["clip"] = content["clips"][0]["frames"][0]["name"] = ATTACK
    page, markdown = write_report(report_example.write(folder, content))
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == 2 and "<img src=x" not in text
    assert embedded(text)["clips"][0]["name"] == ATTACK
    assert Page(text).open == []
    assert "<script" not in markdown.read_text(encoding="utf-8") and "<img" not in markdown.read_text(encoding="utf-8")
    table = [line for line in markdown.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert all(re.fullmatch(r"\|(?:[^|\\]|\\.)*(?:\|(?:[^|\\]|\\.)*)*\|", line) for line in table)


def test_markdown_tables_are_tables(sample):
    blocks = re.findall(r"(?:^\|.*\n)+", sample[2], re.M)
    assert len(blocks) == 5
    for block in blocks:
        rows = block.splitlines()
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
        assert re.fullmatch(r"[|:-]+", rows[1]) and len(rows) > 2


def test_again_replaces_the_report(sample, tmp_path):
    folder = report_example.small_results(tmp_path)
    first = [path.read_bytes() for path in write_report(folder)]
    assert [path.read_bytes() for path in write_report(folder)] == first
    assert not list(folder.glob(".*"))


def test_the_size_of_hyoutube_stays_a_few_megabytes(tmp_path):
    folder = report_example.large_results(tmp_path, pictures=0)
    page, markdown = write_report(folder)
    assert page.stat().st_size < 4e6  # scores alone; pictures add about 20 kB each
    assert markdown.stat().st_size < 20e3
    data = curve_data(read_results(folder))
    assert sum(len(clip["numbers"]) for clip in data["clips"]) == published.TEST_FRAMES
