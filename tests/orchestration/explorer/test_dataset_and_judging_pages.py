"""Judging and the dataset's pages in a real browser, over a real server, on a lake of rows."""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from explorer_lake import HARMLESS, fill
from playwright.sync_api import Browser, Page, expect, sync_playwright

from orchestration.configured import configured
from orchestration.explorer.app import explorer_app
from orchestration.settings import Settings
from resources.corpus.subset_files import SubsetFiles
from resources.explorer.judging import Draw, draw
from resources.lake.store import Lake

pytestmark = pytest.mark.slow

CLIPS = 90
PAGES = (
    "/judge",
    "/dataset",
    "/dataset?section=failures",
    "/dataset?section=judged",
    "/dataset/subsets",
    "/dataset/subsets/aes",
    "/dataset/thresholds?min.score.aesthetics=4.5",
    "/dataset/map?colour=aesthetics",
    "/dataset/compare",
)


@pytest.fixture(scope="module")
def subsets_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("subsets")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, new_lake: Callable[[Path], Lake]) -> tuple[Lake, str]:
    """The lake, and its snapshot with other captions."""
    lake = new_lake(tmp_path_factory.mktemp("explored") / "lake")
    snapshot, _ = fill(lake, CLIPS)
    return lake, snapshot


@pytest.fixture(scope="module")
def server(made: tuple[Lake, str], subsets_folder: Path) -> Iterator[str]:
    """The address of the explorer."""
    settings = Settings(lake=made[0].root, subsets=str(subsets_folder))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        app = explorer_app(settings, configured(settings))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed: `apt-get install chromium`")
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=as_root)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    """A page that may ask this server alone, and that logs no error."""
    context = browser.new_context(base_url=server, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    problems: list[str] = []
    page.on("request", lambda request: None if request.url.startswith(server) else problems.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    context.close()
    assert problems == []


def judgements(lake: Lake, sample: str) -> list[tuple[Any, ...]]:
    rows = lake.query(
        "select clip_id, what, verdict, judge from judgements where sample = $sample order by written_at, what",
        {"sample": sample},
    )
    return [tuple(row.values()) for row in rows.to_pylist()]


def press(page: Page, key: str) -> None:
    """Presses the key once the page has run its scripts: one that is pressed before is lost."""
    page.wait_for_load_state("load")
    page.keyboard.press(key)


def test_a_sample_is_drawn_and_judged_by_keyboard_alone_and_the_last_one_is_taken_back(page, made):
    lake, _ = made
    page.goto("/judge")
    page.get_by_label("You judge as").fill("ann")
    page.get_by_role("button", name="Change").click()
    review = page.locator("form", has_text="Captions, cuts and safety")
    review.get_by_label("Clips").fill("6")
    review.get_by_role("button", name="Draw and begin").click()
    sample = page.url.rsplit("/", 1)[1]
    expect(page.get_by_text("0 of 6 judged by ann")).to_be_visible()

    press(page, "1")
    expect(page.get_by_text("1 of 6 judged")).to_be_visible()
    press(page, "b")
    expect(page.get_by_label("Bad cut")).to_be_checked()
    press(page, "u")
    press(page, "2")
    expect(page.get_by_text("2 of 6 judged")).to_be_visible()
    press(page, "ArrowRight")
    expect(page.get_by_role("heading", name="clip 4 of 6")).to_be_visible()
    press(page, "3")
    expect(page.get_by_text("3 of 6 judged")).to_be_visible()
    press(page, "z")
    expect(page.get_by_text("2 of 6 judged")).to_be_visible()
    expect(page.get_by_role("heading", name="clip 4 of 6")).to_be_visible()
    said = judgements(lake, sample)
    assert [row[1:] for row in said] == [
        ("caption", "good", "ann"),
        ("cut", "good", "ann"),
        ("safety", "safe", "ann"),
        ("caption", "partly", "ann"),
        ("cut", "bad", "ann"),
        ("safety", "unsafe", "ann"),
    ]
    assert len({row[0] for row in said}) == 2

    for judged in range(3, 7):
        press(page, "1")
        if judged < 6:
            expect(page.get_by_text(f"{judged} of 6 judged")).to_be_visible()
    expect(page.get_by_role("heading", name="done")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("captions all together"))).to_contain_text("6")
    page.goto("/dataset?section=judged")
    expect(page.get_by_role("row", name=re.compile("cuts all together"))).to_contain_text(f"{CLIPS} clips")


def test_a_clip_is_judged_on_its_own_page_too_and_counts_in_no_estimate(page, made):
    lake, _ = made
    clip_id = lake.polars("clips")["clip_id"].sort()[0]
    page.goto(f"/clips/{clip_id}")
    page.get_by_label("Unsafe").check()
    page.get_by_role("button", name="Wrong").click()
    page.wait_for_url("**/clips/*#judgements")
    expect(page.locator(".judgements")).to_contain_text("caption wrong")
    expect(page.locator(".judgements")).to_contain_text("safety unsafe")
    rows = lake.query("select distinct sample from judgements where clip_id = $id", {"id": clip_id}).to_pylist()
    assert {"sample": None} in rows
    page.get_by_role("button", name="Take my last one back").click()
    expect(page.get_by_role("button", name="Take my last one back")).to_have_count(0)


def test_two_captioners_are_compared_without_their_names(page, made):
    lake, snapshot = made
    sample = draw(lake, Draw(4, snapshot=snapshot), drawn_by="ann")
    page.goto(f"/judge/{sample}")
    for chosen in ("1", "2", "3", "1"):
        shown = page.locator("main").inner_text()
        assert "A dog runs" in shown
        assert HARMLESS in shown, "shown letter by letter"
        assert "first" not in re.sub("(?i)the first|^first", "", shown, flags=re.MULTILINE).lower()
        position = page.locator("h1").inner_text()
        press(page, chosen)
        expect(page.locator("h1")).not_to_have_text(position)
    rows = lake.query("select verdict, model, other_model, shown_first from judgements where what = 'comparison'")
    assert len(rows) == 4
    assert {(row["model"], row["other_model"]) for row in rows.to_pylist()} == {("first", "second")}
    assert sum(verdict == "equal" for verdict in rows["verdict"].to_pylist()) == 1
    assert page.title() != "run"


def test_a_threshold_is_counted_while_it_moves_and_saved_as_a_subset_that_counts_the_same(page, subsets_folder):
    page.goto("/dataset/thresholds")
    expect(page.locator("#main").get_by_text(f"{CLIPS} of {CLIPS} clips are left")).to_be_visible()
    page.get_by_label("Aesthetics, at least").fill("4.5")
    left = sum(number * 10 / CLIPS >= 4.5 for number in range(CLIPS))
    expect(page.locator("#main").get_by_text(f"{left} of {CLIPS} clips are left")).to_be_visible()
    assert "min.score.aesthetics=4.5" in page.url, "the address can be shared"
    page.get_by_label("no flag").check()
    left = sum(number * 10 / CLIPS >= 4.5 and number % 9 != 0 for number in range(CLIPS))
    expect(page.locator("#main").get_by_text(f"{left} of {CLIPS} clips are left")).to_be_visible()
    slider = page.get_by_role("slider", name="Video text similarity: at least")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".waterfall")).to_contain_text("video text similarity at least")
    left_at_last = int(page.locator(".answer b").inner_text())
    assert left_at_last < left

    page.get_by_label("Name").fill("good_ones")
    page.get_by_label("Title").fill("Good ones")
    page.get_by_role("button", name="Save as subset").click()
    expect(page.locator("#main").get_by_text("internvid subset make good_ones")).to_be_visible()
    expect(page.locator(".waterfall > li").last).to_contain_text(f"{left_at_last} left")
    expect(page.locator(".sql")).to_contain_text("min_aesthetics: {type: double, default: 4.5")
    assert SubsetFiles(folder=str(subsets_folder)).named("good_ones").title == "Good ones"

    page.goto("/dataset/thresholds?unflagged=1")
    page.get_by_label("Name").fill("good_ones")
    page.get_by_role("button", name="Save as subset").click()
    expect(page.locator("#main").get_by_text("there is a subset good_ones already")).to_be_visible()


def test_the_numbers_of_a_plot_lead_to_their_clips(page):
    page.goto("/dataset?section=scores")
    plot = page.locator("figure", has_text="Aesthetics").first
    plot.get_by_text("Numbers and clips").click()
    plot.get_by_role("link", name="5 – 5.1").click()
    counted = sum(5 <= number * 10 / CLIPS < 5.1 for number in range(CLIPS))
    expect(page.locator(".summary")).to_contain_text(f"{counted} of {CLIPS} clips")
    page.goto("/dataset?section=durations")
    page.locator("figure", has_text="Figure 4a").get_by_text("Numbers and clips").click()
    page.get_by_role("link", name="2–4 s").click()
    expect(page.locator(".summary")).to_contain_text(f"{CLIPS // 3} of {CLIPS} clips")


def test_a_waterfall_shows_clips_that_each_condition_removed_and_takes_parameters(page):
    page.goto("/dataset/subsets")
    page.get_by_role("link", name="aes", exact=True).click()
    page.get_by_label("threshold").fill("8")
    page.get_by_role("button", name="Count").click()
    last = page.locator(".waterfall > li").last
    kept = sum(number * 10 / CLIPS >= 8 for number in range(CLIPS))
    expect(last).to_contain_text(f"{kept} left, −{CLIPS - kept}")
    expect(last.locator(".card")).to_have_count(6)
    page.goto("/dataset/subsets/aes?threshold=many")
    expect(page.locator("#main").get_by_text("threshold takes a number, not 'many'")).to_be_visible()


def test_clips_are_listed_by_a_box_a_lasso_and_the_keyboard(page):
    page.goto("/dataset/map?colour=aesthetics")
    canvas = page.locator("#map")
    expect(canvas).to_have_attribute("data-points", str(CLIPS))
    points = page.evaluate("map.points")
    box = canvas.bounding_box()

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + x * box["width"], box["y"] + (1 - y) * box["height"]

    # The vectors are three clusters; a clip's cluster is its number by three.
    of_first = [points[number] for number in range(0, CLIPS, 3)]
    left, right = min(x for x, _ in of_first) - 0.01, max(x for x, _ in of_first) + 0.01
    low, high = min(y for _, y in of_first) - 0.01, max(y for _, y in of_first) + 0.01
    page.keyboard.down("Shift")
    page.mouse.move(*at(left, low))
    page.mouse.down()
    page.mouse.move(*at(right, high))
    page.mouse.up()
    page.keyboard.up("Shift")
    expect(page.locator("#main").get_by_text(f"{CLIPS // 3} clips are inside")).to_be_visible()
    expect(page.locator("[data-part=inside] .card")).to_have_count(CLIPS // 3)
    assert "inside=" in page.url, "the address can be shared"

    page.mouse.move(*at(left, low))
    page.mouse.down()
    for x, y in ((right, low), (right, high), (left, high)):
        page.mouse.move(*at(x, y), steps=8)
    page.mouse.up()
    expect(page.locator("#main").get_by_text(f"{CLIPS // 3} clips are inside")).to_be_visible()

    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#main").get_by_text("No part of the map is chosen")).to_be_visible()
    canvas.focus()
    for _ in range(14):
        page.keyboard.press("+")
    page.keyboard.press("Enter")
    expect(page.locator("#main").get_by_text(f"{CLIPS} clips are inside")).to_be_visible()


def test_two_snapshots_stand_side_by_side(page, made):
    _, snapshot = made
    page.goto(f"/dataset/compare?a={snapshot}")
    expect(page.get_by_text(f"{CLIPS // 2} clips have another caption in b, {CLIPS // 2} the same")).to_be_visible()
    expect(page.locator(".pairs li")).to_have_count(10)
    expect(page.locator(".pairs li").first).to_contain_text("A dog runs on a street")
    expect(page.locator(".pairs li").first).to_contain_text(HARMLESS)
    page.get_by_role("link", name="Count them, table by table").click()
    expect(page.get_by_role("row", name=re.compile("clip_captions changed 45"))).to_be_visible()


def test_what_cannot_be_is_refused_on_a_page_that_says_why(page):
    for address, status, message in [
        ("/judge/no-such-sample", 404, "This lake has no sample"),
        ("/dataset?section=colours", 404, "no section"),
        ("/dataset/subsets/..%2faes", 404, ""),
        ("/dataset/subsets/nope", 404, "no subset 'nope'"),
        ("/dataset/subsets/aes?colour=red", 400, "no parameter 'colour'"),
        ("/dataset/thresholds?min.score.aesthetics=1;drop", 400, "must be a number"),
        ("/dataset/thresholds?min.nothing=1", 400, "no such threshold"),
        ("/dataset/map?inside=1,2", 400, "a part of the map has 2"),
        ("/dataset/map?inside=a,b c,d", 400, "is given as"),
        ("/dataset/map?method=tsne", 400, "is not installed"),
        ("/dataset/compare?a=corpus-nope", 404, "no snapshot"),
    ]:
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == status, address
        assert message in page.locator("main").inner_text(), address
        assert "Traceback" not in page.content()


def test_the_pages_fit_a_telephone_and_are_accessible_in_both_themes(browser, server, made):
    lake, snapshot = made
    review = draw(lake, Draw(4), drawn_by="ann")
    comparison = draw(lake, Draw(4, snapshot=snapshot), drawn_by="ann")
    problems: list[tuple[str, str, str, list[str]]] = []
    page = browser.new_page(base_url=server, viewport={"width": 375, "height": 740})
    for address in (*PAGES, f"/judge/{review}", f"/judge/{comparison}"):
        page.goto(address)
        page.wait_for_load_state("networkidle")
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            assert page.evaluate("document.documentElement.scrollWidth") <= 375, address
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (max(map(int, re.findall(r"\d+", background)[:3])) < 80) == (theme == "dark")
            audit = Axe().run(page)
            problems += [
                (address, theme, violation["id"], [node["html"] for node in violation["nodes"]])
                for violation in audit.response["violations"]
                if violation["impact"] in ("serious", "critical")
            ]
    page.context.close()
    assert problems == []
