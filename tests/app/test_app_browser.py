"""The page in a real browser, which must be there: Debian's Chromium, or another one that Playwright can drive."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from app.conftest import running, wait_until

from co2net.color_mapping.cube import load_cube
from co2net.video import open_video

gradio = pytest.importorskip("gradio", reason="the page needs Gradio; pip install 'co2net[app]'")
sync_api = pytest.importorskip("playwright.sync_api", reason="browser tests need Playwright; make browser-test")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine; make browser-test installs it")
SLOW = 120_000
"""Milliseconds that a step may take on a busy machine."""
SHOTS = Path(os.environ.get("CO2NET_SCREENSHOTS") or Path(tempfile.gettempdir()) / "co2net-screenshots")
SIZES = {"wide": (1400, 1000), "narrow": (390, 844)}


@pytest.fixture(scope="module")
def page_server(app_models, tmp_path_factory):
    """The page with random weights and narrow limits."""
    from co2net.app.limits import Limits
    from co2net.app.server import create_app

    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CO2NET_MODELS", str(app_models))
        patch.setenv("OMP_NUM_THREADS", "1")
        with running(create_app(Limits(pixels=100_000, frames=2000), folder=folder), folder) as found:
            yield found


@pytest.fixture(scope="module")
def chromium():
    """The browser, and folders for what is seen."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, page_server):
    """Open the page as somebody new: ``visit("narrow", "dark")``."""
    contexts = []

    def come(size: str = "wide", scheme: str = "light"):
        width, height = SIZES[size]
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SLOW)
        page.goto(str(page_server.url))
        page.get_by_text("Computes on").wait_for()
        return page

    yield come
    for context in contexts:
        context.close()


def give(page, place: str, *files: Path):
    page.locator(f"#{place} input[type=file]").set_input_files([str(file) for file in files])
    page.locator(f"#{place}").locator(f"[aria-label='{files[0].name}']").wait_for()


def tab(page, name: str):
    page.get_by_role("tab", name=name).click()


def begin(page, name: str):
    page.get_by_role("button", name=name, exact=True).click()


def shown_after(page) -> str:
    return page.locator("#compare img").nth(1).get_attribute("src")


def test_harmonize_a_clip(visit, files, tmp_path):
    page = visit()
    give(page, "composite", files["clip.mp4"])
    page.get_by_text("96 × 64 · 6 frames · 25 frames/s").wait_for()
    give(page, "mask", files["mask.mp4"])
    page.locator("#compare img").nth(1).wait_for()
    page.get_by_text("does not say how sure it is").wait_for()
    full = shown_after(page)
    page.get_by_label("range slider for Strength").press("ArrowLeft")
    wait_until(lambda: shown_after(page) != full)
    begin(page, "Harmonize")
    page.locator(".job.done").wait_for()
    page.screenshot(path=str(SHOTS / "harmonized.png"), full_page=True)
    wait_until(lambda: page.locator(".job video").evaluate("video => video.readyState > 0"))
    for name, ending in (("Color mapping", ".cube"), ("Result", ".mp4")):
        with page.expect_download() as download:
            page.locator("a.download").filter(has_text=name).click()
        download.value.save_as(tmp_path / f"got{ending}")
    assert load_cube(tmp_path / "got.cube").shape[-1] == 33
    with open_video(tmp_path / "got.mp4") as reader:
        assert sum(1 for _ in reader) == 6


def test_cancel(visit, files, page_server):
    page = visit()
    give(page, "composite", files["long.mp4"])
    give(page, "mask", files["mask.png"])
    page.locator("#compare img").nth(1).wait_for()
    begin(page, "Harmonize")
    page.get_by_text("frames/s ·").wait_for()
    assert page.get_by_role("progressbar", name="Progress").get_attribute("aria-valuemax") == "1500"
    page.screenshot(path=str(SHOTS / "progress.png"), full_page=True)
    begin(page, "Cancel")
    page.get_by_text("Cancelled. Nothing was kept.").wait_for()
    page.get_by_role("button", name="Cancel", exact=True).wait_for(state="hidden")
    assert page.get_by_role("button", name="Harmonize", exact=True).is_enabled()


def test_an_error_is_a_sentence(visit, files):
    page = visit("narrow")
    give(page, "composite", files["clip.mp4"])
    give(page, "mask", files["other.mp4"])
    failed = page.locator(".job.failed")
    failed.wait_for()
    assert failed.inner_text() == (
        "other.mp4 is 64x64 and clip.mp4 is 96x64; give a mask of the same size, or have it scaled, under More"
    )
    begin(page, "Harmonize")
    wait_until(lambda: failed.count() == 2)
    page.screenshot(path=str(SHOTS / "error.png"), full_page=True)
    assert failed.nth(0).inner_text() == failed.nth(1).inner_text()
    page.get_by_role("button", name="Harmonize", exact=True).wait_for()


def test_asking_too_early(visit):
    page = visit()
    begin(page, "Harmonize")
    page.get_by_text("Composite is still missing").wait_for()


def test_two_visitors_get_their_own(visit, files, page_server):
    first, second = visit(), visit("narrow", "dark")
    give(first, "composite", files["clip.mp4"])
    give(first, "mask", files["mask.mp4"])
    give(second, "composite", files["picture.png"])
    give(second, "mask", files["mask.png"])
    for page in (first, second):
        page.locator("#compare img").nth(1).wait_for()
        begin(page, "Harmonize")
    first.locator(".job.done video").wait_for()
    second.locator(".job.done img").wait_for()
    assert first.locator(".job.done img").count() == 0 and second.locator(".job.done video").count() == 0
    places = [page.locator(".job.done [src]").first.get_attribute("src") for page in (first, second)]
    assert places[0] != places[1]
    folders = {job.folder for job in page_server.jobs._jobs.values()}
    second.context.close()  # who leaves takes the files along
    wait_until(lambda: len({job.folder for job in page_server.jobs._jobs.values()}) < len(folders), 90)
    assert page_server.client.get(places[0]).status_code == 200


def paint(page, place: str):
    canvas = page.locator(f"#{place} canvas").first
    canvas.wait_for()
    page.wait_for_timeout(1500)  # the editor fits the frame into itself
    box = canvas.bounding_box()
    assert box
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(middle[0] - 20, middle[1])
    page.mouse.down()
    for step in range(-20, 21, 4):
        page.mouse.move(middle[0] + step, middle[1] + step % 8)
    page.mouse.up()
    undo = page.locator(f"#{place} button[aria-label='Undo']").first
    wait_until(undo.is_enabled, 60)  # the stroke is there
    page.wait_for_timeout(3000)  # and on its way to the server


def test_paint_a_mask_and_use_it(visit, files):
    page = visit()
    tab(page, "Mask")
    give(page, "clip", files["clip.mp4"])
    paint(page, "paint")
    begin(page, "Make the mask")
    page.locator(".job.done").wait_for()
    page.screenshot(path=str(SHOTS / "mask.png"), full_page=True)
    begin(page, "Use it in Harmonize")
    page.locator("#compare img").nth(1).wait_for()
    page.locator("#mask [aria-label='matte.mp4']").wait_for()


def test_draw_color(visit, files):
    page = visit()
    tab(page, "Colorize")
    give(page, "gray", files["clip.mp4"])
    begin(page, "Colorize")
    page.get_by_text("Draw a few strokes of color first").wait_for()
    paint(page, "strokes")
    begin(page, "Colorize")
    page.locator(".job.done video").wait_for()
    page.screenshot(path=str(SHOTS / "colorized.png"), full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_fits_and_has_names(visit, page_server, size, scheme):
    page = visit(size, scheme)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.get_by_text("Computes on").wait_for()
    for name in ("Harmonize", "Mask", "Colorize"):
        tab(page, name)
        page.wait_for_timeout(300)
        page.screenshot(path=str(SHOTS / f"{name.lower()}-{size}-{scheme}.png"), full_page=True)
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{name} is {wider} pixels wider than the screen"
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, a[href], canvas")].filter(e => {
            if (!e.checkVisibility() || e.closest('[aria-hidden="true"]')) return false;
            const words = [e.ariaLabel, e.innerText, e.title, e.placeholder, e.alt, ...[...(e.labels || [])].map(l => l.innerText)];
            return !words.some(word => word && word.trim());
        }).map(e => e.outerHTML.slice(0, 120))"""  # noqa: E501
    )
    assert nameless == []
    places = page.locator("button.upload-container").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert places and len(set(places)) == len(places)
    elsewhere = [url for url in asked if not url.startswith((str(page_server.url), "data:", "blob:"))]
    assert elsewhere == [], "the page takes everything from its own server"


def test_keyboard_reaches_the_job(visit):
    page = visit()
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.ariaLabel || document.activeElement.innerText || ''"))
    words = " ".join(reached)
    for name in ("Composite", "Mask: white", "Example clip", "Strength", "Harmonize"):
        assert name in words, f"{name} cannot be reached by the keyboard; reached: {reached}"


def test_doors_of_the_page_that_stay_shut(page_server):
    post, get = page_server.client.post, page_server.client.get
    for place in ("/gradio_api/proxy=http://127.0.0.1:9/x", "/gradio_api/file=http://127.0.0.1:9/x", "/monitoring"):
        assert get(place).status_code == 404, place
    assert get("/gradio_api/file=/etc/passwd").status_code in (403, 404)
    named = {"path": "http://127.0.0.1:9/a.png", "meta": {"_type": "gradio.FileData"}}
    answer = post("/gradio_api/queue/join", json={"data": [None, [{"x": named}]], "fn_index": 1, "session_hash": "a"})
    assert answer.status_code == 403 and "nothing is fetched" in answer.json()["error"]
    assert post("/gradio_api/queue/join", content=b"{").status_code == 400
    foreign = post("/gradio_api/upload", files={"files": b"x"}, headers={"origin": "http://elsewhere.example"})
    assert foreign.status_code == 403
