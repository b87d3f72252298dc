"""The report as a browser parses it: its content, its escaping, and that it loads nothing."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import duckdb
import numpy as np
import pyarrow as pa
import pytest

from internvid.report.charts import Bar, bar_chart
from internvid.report.contact_sheet import contact_sheet_markdown, smaller_jpeg
from internvid.report.report import StageRow, count, number, plots_markdown, share, took, write_report
from internvid.report.shown_clips import ShownClip, clock
from resources.lake.schema import TABLES

STATISTICS = Path(__file__).parents[3] / "sql" / "statistics"
NOON = datetime(2025, 1, 2, 12, tzinfo=UTC)
NASTY = "<script>alert(1)</script> & \"q\" 'q' $x$ {{ 7*7 }} <img src=http://evil.example/x onerror=alert(1)>"
PUBLISHED = [
    *("MSR-VTT", "DiDeMo", "LSMDC", "YouCook2", "How2", "ANet Caption", "VideoCC3M", "WebVid10M", "WTS70M"),
    *("HowTo100M", "HD-VILA-100M", "YT-Temporal-180M", "InternVid"),
]
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Collects every tag with its attributes, and the text of every table row, heading and figure."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.tags if name in attributes]


def jpeg(width: int = 320, height: int = 180, seed: int = 0) -> bytes:
    """A picture of noise, which compresses worse than any video: the worst case for size limits."""
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", picture)[1].tobytes()


def make_mart(path: Path, rows: dict[str, list[dict[str, Any]]]) -> Path:
    """Makes statistics.duckdb from the SQL files, over tables with the given rows."""
    with duckdb.connect(str(path)) as database:
        for name, table in TABLES.items():
            full_rows = [
                dict.fromkeys(table.column_names) | {table.partition: "batch"} | row for row in rows.get(name, [])
            ]
            database.register(name, pa.Table.from_pylist(full_rows, schema=table.arrow))
        for file in (STATISTICS.parent / "totals").glob("*.sql"):
            database.execute(f"create temp view {file.stem} as {file.read_text()}")
        for file in STATISTICS.glob("*.sql"):
            database.execute(f'create table "{file.stem}" as {file.read_text()}')
    return path


@pytest.fixture(scope="module")
def mart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mart of 1,500 clips of 2.5 s from one video of an hour, with NASTY in every untrusted text."""
    clips = [
        {"clip_id": f"c{index}", "video_id": "v", "start_seconds": 2.0 * index, "end_seconds": 2.0 * index + 2.5}
        | {"boundary": NASTY, "motion": 0.02, "flags": [NASTY]}
        for index in range(1500)
    ]
    captions = [
        {"clip_id": "c0", "video_id": "v", "word_count": 12, "verbs": [NASTY], "nouns": ["dog"], "model": NASTY}
        | {"caption": f"A dog {NASTY}"},
        {"clip_id": "c1", "video_id": "v", "word_count": 13, "verbs": ["run"], "nouns": ["dog"], "model": "speaker-1"}
        | {"caption": "The young dog stays."},
    ]
    failures = [
        {"attempt_id": "clips/1", "stage": "clips", "key": "k", "label": NASTY, "outcome": "failed"}
        | {"error_class": "DecodeError", "message": f"line one\n  {NASTY}", "tries": 2, "written_at": NOON}
    ]
    return make_mart(
        tmp_path_factory.mktemp("mart") / "statistics.duckdb",
        {
            "raw_videos": [
                {"video_id": "v", "source": NASTY, "width": 1280, "height": 720, "duration_seconds": 3600.0}
                | {"video_codec": NASTY, "container": "mov", "written_at": NOON}
            ],
            "clips": clips,
            "clip_captions": captions,
            "attempts": failures,
            "transcripts": [{"clip_id": "c0", "video_id": "v", "text": "Guten Tag, die Hunde", "language": "de"}],
            "clip_scores": [{"score_id": "c0/a", "score": "aesthetics", "model": NASTY, "value": 4.5}],
            "subset_snapshots": [
                {"subset": NASTY, "snapshot": NASTY}
                | {"waterfall": json.dumps([{"condition": NASTY, "meaning": NASTY, "removed": 0, "left": 3}])}
            ],
            "review_samples": [
                {"sample_clip_id": "c0/s", "sample": "s", "kind": "review", "clip_id": "c0", "stratum": NASTY}
                | {"stratum_clips": 1500, "population_clips": 1500},
                {"sample_clip_id": "c0/ab", "sample": "ab", "kind": "comparison", "clip_id": "c0", "stratum": NASTY}
                | {"stratum_clips": 1500, "population_clips": 1500},
            ],
            "judgements": [
                {"judgement_id": "c0/1", "sample": "s", "clip_id": "c0", "what": "caption", "verdict": "good"}
                | {"model": NASTY, "written_at": NOON},
                {"judgement_id": "c0/2", "sample": "ab", "clip_id": "c0", "what": "comparison", "verdict": "b"}
                | {"model": NASTY, "other_model": NASTY, "shown_first": "b", "written_at": NOON},
            ],
            "costs": [
                {"cost_id": "1", "stage": "clips", "model": "", "units": 9, "wall_seconds": 90.0, "frames": 1800}
                | {"written_at": NOON},
                {"cost_id": "2", "stage": "clips", "model": "blip", "units": 7, "model_seconds": 3.5, "frames": 7}
                | {"prompt_tokens": 1234, "output_tokens": 5, "device": "cuda:0", "written_at": NOON},
            ],
        },
    )


@pytest.fixture(scope="module")
def html(mart: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    clips = [
        ShownClip("v_0_90", NASTY, 0.0, 3.04, NASTY, "speaker-1", [jpeg(), b"no picture", jpeg(90, 160)], [NASTY]),
        ShownClip("v_90_180", "b.mp4", 61.5, 3723.96, "شخص يمشي", "speaker-1", [jpeg(seed=i) for i in range(9)]),
    ]
    stages = [StageRow("clips", done=12_345, failed=1, skipped=20, waiting=7, pending=300, seconds=3_725.4)]
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    assert write_report(path, mart, clips, title=NASTY, lake="/data/<lake>", made_at=NOON, stages=stages) == path
    return path.read_text(encoding="utf-8")


def test_the_page_loads_nothing_and_runs_nothing(html: str):
    page = Page(html)

    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form", "foreignobject", "use", "image"}
    assert [name for _, attributes in page.tags for name in attributes if name.startswith("on")] == []
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.attributes("src"))
    links = page.attributes("href")
    assert links
    assert all(re.fullmatch(r"#[a-z]+", link) for link in links)
    assert {link[1:] for link in links} <= set(page.attributes("id"))
    assert page.attributes("srcset") == page.attributes("xlink:href") == []
    assert not re.search(r"url\(|@import", html)
    assert (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    ) in page.attributes("content")


def test_what_strangers_wrote_is_shown_letter_by_letter(html: str):
    page = Page(html)
    # title element, heading, both models' sentence, largest video, failed file, failure text, caption, video, flag,
    # model of a score, subset and snapshot, three models of captions that were judged
    assert page.text.count(NASTY) == 15
    assert f"line one\n  {NASTY}" in page.text
    assert "<script" not in html.lower()
    assert "/data/<lake>" in page.text


def test_table_1_stands_beside_what_was_published(html: str):
    rows = Page(html).rows
    start = next(index for index, row in enumerate(rows) if row[0] == "dataset")
    assert rows[start : start + 3] == [
        ["dataset", "captions", "videos", "clips", "seconds a clip", "words a caption", "hours of video", "resolution"],
        ["this lake", "generated", "1", "1,500", "2.0", "12.5", "0.83", "≥720p (100 %)"],
        ["MSR-VTT", "manual", "7,200", "10,000", "15.0", "9.3", "40.0", "240p"],
    ]
    assert [row[0] for row in rows[start + 2 : start + 15]] == PUBLISHED
    assert rows[start + 14] == [
        *("InternVid", "generated", "7,100,000", "234,000,000", "11.7", "17.6", "760,300", "720p (85 %)")
    ]


def test_stages_and_failures_are_told_with_the_original_text(html: str):
    rows = Page(html).rows
    assert ["clips", "12,673", "12,345", "1", "20", "7", "300", "1 h 2 min"] in rows
    assert ["clips", "failed", "DecodeError", "1", "0"] in rows
    assert ["clips", NASTY, f"DecodeErrorline one\n  {NASTY}", "2"] in rows


def test_what_each_stage_and_model_took_is_told(html: str):
    rows = Page(html).rows
    assert ["clips", "", "9", "1 min 30 s", "20.0", "–", "–", ""] in rows
    assert ["", "blip", "7", "3.5 s", "2.0", "1,234", "5", "cuda:0"] in rows


def test_a_column_of_times_stands_only_where_some_are_known(mart: Path, tmp_path: Path):
    stages = [StageRow("clips", done=1, failed=0, skipped=0, waiting=0, pending=2, seconds=None)]
    page = write_report(tmp_path / "r.html", mart, [], title="t", lake="l", made_at=NOON, stages=stages).read_text()
    rows = Page(page).rows
    start = rows.index(["stage", "inputs", "done", "failed", "skipped", "waiting", "pending"])
    assert rows[start + 1] == ["clips", "3", "1", "0", "0", "0", "2"]


def test_what_people_judged_is_told_with_its_interval(html: str):
    rows = Page(html).rows
    # One clip of 1,500 says little: 100 %, and by Wilson's interval at least 20.7 %.
    assert ["caption", NASTY, "s", "1", "100 %", "20.7 % to 100 %", "0 %", "1,500"] in rows
    assert ["ab", NASTY, NASTY, "1", "100 %", "20.7 % to 100 %", "0 %"] in rows


def test_the_models_that_wrote_the_captions_are_named_first(html: str):
    text = Page(html).text
    sentence = f"Clip captions were written by {NASTY} (1), speaker-1 (1)."
    assert sentence in text
    assert text.index(sentence) < text.index("Beside other datasets")


def test_each_clip_shows_its_frames_small_and_says_when_one_is_broken(html: str):
    page = Page(html)
    sizes = []
    for source in page.attributes("src"):
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(source.split(",", 1)[1]), np.uint8), cv2.IMREAD_COLOR)
        sizes.append((picture.shape[1], picture.shape[0]))
    assert sizes == [(240, 135), (90, 160)] + [(240, 135)] * 4
    assert page.text.count("frame cannot be decoded") == 1
    assert "0:00.0 – 0:03.0" in page.text
    assert "1:01.5 – 1:02:03.9" in page.text


def test_the_paper_s_shares_are_drawn_beside_ours(html: str):
    labels = [label for label in Page(html).attributes("aria-label") if label.startswith("Video durations")]
    assert labels == ["Video durations: <5 min: 0 %; 5–10 min: 0 %; 10–15 min: 0 %; 15–20 min: 0 %; >20 min: 100 %"]
    figure = html[html.index("Figure 3b") :]
    figure = figure[: figure.index("</figure>")]
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", figure)
    assert texts[:2] == ["here", "paper"]
    assert texts[2:] == [
        *("&lt;5 min", "0 %", "49 %"),
        *("5–10 min", "0 %", "26 %"),
        *("10–15 min", "0 %", "–"),
        *("15–20 min", "0 %", "–"),
        *("&gt;20 min", "100 %", "8 %"),
    ]
    assert figure.count('stroke="var(--paper)" stroke-width') == 3


def test_the_same_statistics_give_the_same_bytes(mart: Path, tmp_path: Path):
    clips = [ShownClip("c", "v", 0, 1, "a", "m", [jpeg()])]
    pages = [
        write_report(tmp_path / name, mart, clips, title="t", lake="l", made_at=NOON).read_bytes() for name in "ab"
    ]
    assert pages[0] == pages[1]


def test_an_empty_lake_makes_a_report_that_says_so(tmp_path: Path):
    mart = make_mart(tmp_path / "statistics.duckdb", {})
    page = Page(write_report(tmp_path / "r.html", mart, [], title="t", lake="l", made_at=NOON).read_text())
    assert page.text.count("Nothing to count yet.") == 22
    assert "No clips yet." in page.text
    assert "No failures are on record." in page.text
    assert ["this lake", "generated", "0", "0", "–", "–", "0.00", "≥720p (–)"] in page.rows


def test_a_statistic_of_one_s_own_is_printed_and_missing_ones_are_left_out(tmp_path: Path):
    mart = tmp_path / "statistics.duckdb"
    with duckdb.connect(str(mart)) as database:
        database.execute("create table rainfall as select 1234567 as drops, '<b>' as kind, true as wet, null as depth")
        database.execute("comment on table rainfall is 'Rain that fell'")
    page = Page(write_report(tmp_path / "r.html", mart, [], title="t", lake="l", made_at=NOON).read_text())
    assert "Rain that fell" in page.text
    assert page.rows == [["drops", "kind", "wet", "depth"], ["1,234,567", "<b>", "yes", "–"]]
    assert "No failures are on record." not in page.text


def test_a_report_that_cannot_be_made_leaves_the_old_one(tmp_path: Path):
    path = tmp_path / "r.html"
    path.write_text("old")
    with pytest.raises(duckdb.Error):
        write_report(path, tmp_path / "missing.duckdb", [], title="t", lake="l", made_at=NOON)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"r.html": "old"}


def test_a_chart_takes_the_page_s_colours_but_not_from_its_labels():
    svg = bar_chart([Bar("#010101", 0.5, "50 %"), Bar("$\\frac{1}{0}$ 名前", 1.0, "100 %")], description='"<&')
    assert svg.startswith('<svg role="img" aria-label="&#34;&lt;&amp;" viewBox="0 0 ')
    assert re.findall(r"<text[^>]*>([^<]*)</text>", svg) == ["#010101", "50 %", "$\\frac{1}{0}$ 名前", "100 %"]
    assert len(re.findall(r"var\(--bar\)", svg)) == 2
    assert not re.search(r"#0[0-9]{5}[^<]*>|http|<metadata|<style|font-family| id=", svg)


def test_a_chart_without_bars_is_refused():
    with pytest.raises(ValueError, match="at least one bar"):
        bar_chart([], description="")


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (count(1234567), "1,234,567"),
        (count(None), "–"),
        (number(0.034), "0.03"),
        (number(3.25), "3.2"),
        (number(760300.4), "760,300"),
        (share(0.0), "0 %"),
        (share(0.0004), "<0.1 %"),
        (share(0.125), "12.5 %"),
        (share(0.9996), ">99.9 %"),
        (share(1.0), "100 %"),
        (clock(59.96), "0:59.9"),
        (clock(3600.0), "1:00:00.0"),
        (took(59.94), "59.9 s"),
        (took(60.2), "1 min 0 s"),
        (took(7384.0), "2 h 3 min"),
        (took(None), "–"),
    ],
)
def test_numbers_read_as_people_write_them(printed: str, expected: str):
    assert printed == expected


def test_a_small_picture_is_not_made_larger_and_a_broken_one_is_none():
    small = smaller_jpeg(jpeg(100, 50))
    assert small is not None
    assert cv2.imdecode(np.frombuffer(small, np.uint8), cv2.IMREAD_COLOR).shape == (50, 100, 3)
    assert smaller_jpeg(b"") is None
    assert smaller_jpeg(b"no picture") is None


def parse_sheet(markdown: str) -> tuple[np.ndarray, str]:
    """Returns the picture of a contact sheet, and the text below it."""
    match = re.fullmatch(
        r"!\[contact sheet\]\(data:image/jpeg;base64,([A-Za-z0-9+/=]+)\)\n\n(.*)\n", markdown, re.DOTALL
    )
    assert match
    return cv2.imdecode(np.frombuffer(base64.b64decode(match[1]), np.uint8), cv2.IMREAD_COLOR), match[2]


def test_a_contact_sheet_is_one_picture_with_its_captions_escaped_below():
    flat = [cv2.imencode(".jpg", np.full((180, 320, 3), colour, np.uint8))[1].tobytes() for colour in (40, 90, 200)]
    sheet, text = parse_sheet(
        contact_sheet_markdown([*flat, b"broken", b""], ["a\nb", "<b>*x*", "", "d" * 300, "[e](f)"])
    )
    assert sheet.shape == (2 * 135 + 4, 4 * 240 + 3 * 4, 3)
    middles = [int(sheet[67, 120 + 244 * column].mean()) for column in range(4)] + [int(sheet[206, 120].mean())]
    assert middles == pytest.approx([40, 90, 200, 32, 32], abs=4)
    assert text == "\n".join(
        ["1. a b", "2. &lt;b\\>\\*x\\*", "3. (no caption)", "4. " + "d" * 159 + "…", "5. \\[e\\]\\(f\\)"]
    )


def test_a_contact_sheet_shrinks_its_tiles_and_then_its_number_until_it_fits():
    pictures = [jpeg(seed=seed) for seed in range(40)]
    markdown = contact_sheet_markdown(pictures[:8], ["a caption"] * 8)
    assert len(markdown.encode()) <= 90_000
    assert parse_sheet(markdown)[0].shape[1] in (4 * 200 + 12, 4 * 160 + 12)

    markdown = contact_sheet_markdown(pictures, ["a caption"] * 40, limit_bytes=20_000)
    assert len(markdown.encode()) <= 20_000
    sheet, text = parse_sheet(markdown)
    shown = text.count("a caption")
    assert 0 < shown < 40
    assert sheet.shape[:2] == (-(-shown // 4) * (40 + 4) - 4, 4 * 72 + 12)
    assert text.endswith(f"\n\n*{40 - shown} more clips are not shown.*")


def test_a_contact_sheet_of_nothing_says_so_and_impossible_ones_are_refused():
    assert contact_sheet_markdown([], []) == "*No clips yet.*"
    with pytest.raises(ValueError, match="1 pictures with 0 captions"):
        contact_sheet_markdown([jpeg()], [])
    with pytest.raises(ValueError, match="does not fit in 100 bytes"):
        contact_sheet_markdown([jpeg()], ["a"], limit_bytes=100)


def test_clouds_leave_out_words_that_say_nothing_and_colour_nouns_and_verbs(html: str):
    clouds = re.findall(r'<svg role="img" aria-label="([^"]*)" class="cloud".*?</svg>', html)
    assert [label.split(":")[0] for label in clouds] == ["Words of captions", "Speech in German"]
    of_class = {word: kind for kind, word in re.findall(r'class="(noun|verb|other)">(\w+)</text>', html)}
    assert (of_class["dog"], of_class["stays"]) == ("noun", "verb")
    assert {"hunde", "guten"} <= set(of_class)
    assert not {"the", "a", "die"} & set(of_class)


def test_new_words_histograms_and_waterfalls_are_described_for_screen_readers(html: str):
    labels = Page(html).attributes("aria-label")
    for text in (
        "Different words: 2.0 verbs and 1.0 nouns in 2 captions",
        "Clip durations by the second: most at 2.0 seconds, 100 %",
        "Aesthetics: most at 4.5 aesthetics, 100 %",
        "Spoken languages: de: 100 %",
        "Ages, genders, origins: young: 50 %",
        f"Subset {NASTY}: {NASTY}: 3",
    ):
        assert text in labels


def test_plots_for_the_page_of_an_asset_are_pictures_that_fit(mart: Path):
    with duckdb.connect(str(mart), read_only=True) as database:
        names = [name for (name,) in database.execute("select table_name from duckdb_tables()").fetchall()]
        tables = {name: database.table(f'"{name}"').to_arrow_table().to_pylist() for name in names}
    markdown = plots_markdown(tables)
    pictures = re.findall(r"!\[([^\]]*)\]\(data:image/png;base64,([^)]*)\)", markdown)
    assert len(pictures) == 6
    assert len(markdown) < 90_000
    for _, picture in pictures:
        assert cv2.imdecode(np.frombuffer(base64.b64decode(picture), np.uint8), cv2.IMREAD_COLOR) is not None
    assert plots_markdown({name: [] for name in tables}) == "*Nothing to count yet.*"
