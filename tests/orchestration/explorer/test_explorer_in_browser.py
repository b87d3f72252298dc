"""The explorer in a real browser: headless Chromium, on a lake with videos of several formats and a model."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import dagster as dg
import pytest
from axe_playwright_python.sync_playwright import Axe
from explorer_server import SUBTITLES, Served, environment_of, serving
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from internvid.synthetic.render import scheduling_kept
from orchestration.cli.session import Session
from orchestration.settings import Settings
from resources.catalog.files import register
from resources.explorer.playback import CLIP_COLUMNS
from resources.training.trainer import Trainer

pytestmark = pytest.mark.slow(minutes=2)

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Name of the file -> encoder. All show the same two shots.
FORMATS = {
    "h264.mp4": "libx264",
    "late.mp4": "libx264",  # its first frame is shown at half a second
    "vp9.webm": "libvpx-vp9",
    "av1.mp4": "libsvtav1",
    "mpeg2.mpg": "mpeg2video",
    "mpeg4.avi": "mpeg4",
}
FPS = 25
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 375, "height": 800}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, synthetic_video: Callable[..., Path]) -> Iterator[Served]:
    """The explorer on a lake of videos in several formats, with a model that has hardly learnt anything."""
    folder = tmp_path_factory.mktemp("watched")
    videos = folder / "videos"
    videos.mkdir()
    for number, (name, encoder) in enumerate(FORMATS.items()):
        original = synthetic_video(folder, f"{number}.mp4", number)
        _encoded(original, videos / name, encoder)
    (videos / "h264.en.srt").write_text(SUBTITLES)
    with environment_of(folder / "lake"):
        session = Session(Settings(lake=str(folder / "lake"), first_model="viclip-tiny|all"))
        session.instance = dg.DagsterInstance.ephemeral()
        session.resources["trainer"] = Trainer(max_steps=3, threads=1)
        register(session.lake, session.media, [str(videos)], run_id="test")
        assert session.bring_up_to_date().failed_runs == {}
    with serving(folder / "lake") as server:
        view = server.explorer.indexes.newest().view
        deadline = time.monotonic() + 120
        while True:  # until the model is loaded
            try:
                server.explorer.query_vectors.of_text(view, "a clip")
                break
            except RuntimeError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield server


def _encoded(source: Path, target: Path, encoder: str) -> None:
    """Encodes the video anew, at 25 frames a second: MPEG-2 has no 10."""
    fast = {"cpu-used": "8", "row-mt": "1"} if encoder.startswith("libvpx") else {}
    with scheduling_kept(), av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = written.add_stream(encoder, rate=FPS, options=fast)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 160, 120, "yuv420p", 400_000
        step = 0
        for frame in read.decode(video=0):
            while step / FPS < frame.time + 0.1 - 1e-6:
                picture = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
                picture.pts, picture.time_base = step + (FPS // 2 if target.stem == "late" else 0), Fraction(1, FPS)
                written.mux(stream.encode(picture.reformat(format="yuv420p")))
                step += 1
        written.mux(stream.encode(None))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--mute-audio"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Browser, watched: Served) -> Iterator[Callable[..., Page]]:
    """opened("/path", viewport=…, color_scheme=…): the page. No page may report an error, or ask another host."""
    problems: list[str] = []
    contexts = []

    def noted(what: str, text: str) -> None:
        problems.append(f"{what}: {text}")

    def open_page(path: str, **options: Any) -> Page:
        context = browser.new_context(**({"viewport": WIDE} | options))
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: noted("console", message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: noted("error", str(error)))
        page.on("dialog", lambda dialog: noted("dialog", dialog.message) or dialog.dismiss())
        page.on(
            "request",
            lambda request: (
                noted("another host", request.url)
                if urlsplit(request.url).scheme in ("http", "https", "ws")
                and urlsplit(request.url).netloc != f"127.0.0.1:{watched.port}"
                else None
            ),
        )
        page.goto(f"{watched.url}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def _clips(page: Page) -> list[str]:
    return page.eval_on_selector_all(".card .caption", "links => links.map((link) => link.getAttribute('href'))")


def _until(page: Page, condition: str, seconds: float = 60) -> None:
    """Waits for a condition in the page. `wait_for_function` would need a policy that allows eval."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(50)


def _clip_of(served: Served, name: str, number: int) -> str:
    clips = served.lake.query(
        "select clip_id from clips inner join raw_videos using (video_id) where source like $n order by start_seconds",
        {"n": f"%{name}"},
    )
    return clips["clip_id"][number].as_py()


def test_a_search_is_filtered_as_one_types_and_shared_by_its_address(opened, watched):
    page = opened("/")
    everything = _clips(page)
    assert len(everything) == watched.lake.dataset("clips").count_rows()
    page.keyboard.press("/")
    page.keyboard.type("boats")
    _until(page, "location.search === '?q=boats'")
    _until(page, "!document.body.hasAttribute('aria-busy')")
    first = _clips(page)[0]
    page.get_by_label("English").check()
    _until(page, "location.search === '?q=boats&language=en'")
    _until(page, "document.querySelectorAll('.chip').length === 1")
    assert _clips(page)[0] == first
    assert page.locator("#said").text_content() == page.locator("[data-summary]").text_content()
    shared = opened(page.url.removeprefix(watched.url))
    assert _clips(shared) == _clips(page)
    page.get_by_role("link", name="language: en").click()
    _until(page, "!document.querySelector('.chip')")
    page.go_back()
    _until(page, "document.querySelectorAll('.chip').length === 1")


def test_a_slider_over_a_histogram_filters(opened):
    page = opened("/")
    before = len(_clips(page))
    slider = page.get_by_label("Aesthetics: at least")
    slider.focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    _until(page, "location.search.startsWith('?min.score.aesthetics=')")
    _until(page, f"document.querySelectorAll('.card').length < {before}")
    assert float(page.locator("[name='min.score.aesthetics']").input_value()) > 0
    assert page.evaluate("document.activeElement.tagName") in ("INPUT", "BODY")


@pytest.mark.parametrize(("name", "number"), [("h264.mp4", 0), *((name, 1) for name in FORMATS)])
def test_a_clip_plays_from_its_first_frame_to_its_last_and_again(opened, watched, name, number):
    clip_id = _clip_of(watched, name, number)
    clip = watched.lake.known("clips", [clip_id], CLIP_COLUMNS).to_pylist()[0]
    page = opened(f"/clips/{clip_id}")
    _until(page, "(() => { const v = document.querySelector('video'); return v.readyState >= 2 && !v.seeking; })()")
    is_converted = page.evaluate("document.querySelector('video').currentSrc").endswith("converted.mp4")
    assert is_converted == name.endswith(("mpg", "avi"))
    length = clip["end_seconds"] - clip["start_seconds"]
    start = page.evaluate("document.querySelector('video').currentTime") - 0.004
    late = 0.48 if name == "late.mp4" else 0.0
    assert start == pytest.approx(0.0 if is_converted else clip["start_seconds"] + late, abs=0.02)
    assert _differs_from_middle_frame(page, watched, clip_id, clip) < 12  # of 255; the other shot differs by 60
    page.get_by_role("button", name="Play").click()
    times = page.evaluate(
        """(seconds) => new Promise((resolve) => {
            const video = document.querySelector("video"), times = [], begun = performance.now();
            const look = () => {
                times.push(video.currentTime);
                if (performance.now() - begun < 1000 * seconds) requestAnimationFrame(look);
                else resolve(times);
            };
            look();
        })""",
        1.8 * length + 0.5,
    )
    assert min(times) >= start
    # A busy browser comes too late for the end, where the video goes on: the next shot has a second and a half.
    assert max(times) <= start + length + (0.3 if number == 0 else 1e-3)
    assert max(times) > start + 0.7 * length
    assert sum(later < earlier for earlier, later in pairwise(times)) >= 1  # again from the start
    page.keyboard.press("l")  # no more
    _until(page, "document.querySelector('video').paused", seconds=30)
    assert page.evaluate("document.querySelector('video').currentTime") == pytest.approx(start + length, abs=0.3)


def _differs_from_middle_frame(page: Page, served: Served, clip_id: str, clip: dict[str, Any]) -> float:
    """Shows the clip at its middle frame; returns the mean difference of that picture from the lake's."""
    frames = served.lake.query(
        "select frame_id, seconds from frames where clip_id = $c and is_middle", {"c": clip_id}
    ).to_pylist()
    return page.evaluate(
        """async ([seconds, address]) => {
            const video = document.querySelector("video"), image = new Image(), begun = video.currentTime;
            image.src = address;
            await image.decode();
            const shown = new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true }));
            video.currentTime = begun + seconds;
            await shown;
            const pixels = (picture) => {
                const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
                canvas.width = canvas.height = 32;
                context.drawImage(picture, 0, 0, 32, 32);
                return context.getImageData(0, 0, 32, 32).data;
            };
            const left = pixels(video), right = pixels(image);
            const sum = left.reduce((total, value, number) => total + Math.abs(value - right[number]), 0);
            video.currentTime = begun;
            return sum / left.length;
        }""",
        [frames[0]["seconds"] - clip["start_seconds"], f"/frames/{frames[0]['frame_id']}.jpg"],
    )


def test_what_is_said_is_lit_while_it_is_said(opened, watched):
    page = opened(f"/clips/{_clip_of(watched, 'h264.mp4', 0)}")
    _until(page, "document.querySelector('video').readyState >= 2")
    assert page.locator(".cues .lit").count() == 0
    page.get_by_role("button", name="Hello and welcome").click()
    page.keyboard.press("k")
    _until(page, "[...document.querySelectorAll('.lit')].some((cue) => cue.textContent.includes('Hello'))")
    page.keyboard.press("k")
    _until(page, "document.querySelector('video').paused && !document.querySelector('.lit')")


def test_the_lineage_comes_after_the_page(opened, watched):
    page = opened(f"/clips/{_clip_of(watched, 'vp9.webm', 0)}")
    page.get_by_role("link", name="all", exact=True).wait_for()
    assert "viclip-tiny" in page.locator("[data-load$='/story']").text_content()


def test_clips_like_another_and_like_a_picture(opened, watched):
    clip_id = _clip_of(watched, "h264.mp4", 0)
    page = opened(f"/clips/{clip_id}")
    similar = _clips(page)
    assert similar != []
    assert f"/clips/{clip_id}" not in similar
    page.get_by_role("link", name="Similar", exact=True).click()
    page.wait_for_url("**/?like=*")
    assert _clips(page)[: len(similar)] == similar
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), "green").save(picture, "PNG")
    file = {"name": "green.png", "mimeType": "image/png", "buffer": picture.getvalue()}
    page.locator("input[type=file]").set_input_files(file)
    _until(page, "location.search.includes('picture=')")
    page.get_by_alt_text("the uploaded picture").wait_for()
    assert len(_clips(page)) == watched.lake.dataset("clip_embeddings").count_rows()


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (NARROW, "dark")], ids=["wide", "narrow"])
def test_pages_fit_any_screen_in_both_themes_and_can_be_read_by_all(opened, watched, viewport, scheme, tmp_path):
    clip_id = _clip_of(watched, "h264.mp4", 0)
    colours = set()
    for number, path in enumerate(("/?q=boats&flag=none", f"/clips/{clip_id}")):
        page = opened(path, viewport=viewport, color_scheme=scheme)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        if viewport is NARROW and path.startswith("/?"):
            page.get_by_text("Filters", exact=True).click()
        page.screenshot(path=tmp_path / f"{number}-{scheme}-{viewport['width']}.png", full_page=True)
        found = Axe().run(page)
        serious = [each for each in found.response["violations"] if each["impact"] in ("serious", "critical")]
        assert serious == [], found.generate_report()
    assert len(colours) == 1
    (colour,) = colours
    assert (sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))) > 380) == (scheme == "light")


def test_the_keyboard_leads_everywhere(opened, watched):
    page = opened("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.locator(".card .caption").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/clips/*")
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.wait_for_url(f"{watched.url}/")
    page = opened(f"/clips/{_clip_of(watched, 'vp9.webm', 0)}")
    page.keyboard.press("n")
    page.wait_for_url(f"**/clips/{_clip_of(watched, 'vp9.webm', 1)}")
