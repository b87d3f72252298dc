"""`internvid` as people and scripts call it: real processes on a small lake."""

import csv
import io
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command import cells, internvid, internvid_process, refused, succeeded
from lake_copies import linked_copy
from published_lines import published_lines

from resources.lake.store import Lake

# Names that a terminal's markup or a shell would spoil.
BRACKETS = "[red]one [1].mp4"
QUOTES = """it's "two" 100%.mp4"""
BROKEN = "[bold]broken.mp4"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, synthetic_video: Callable[..., Path]) -> Path:
    folder = tmp_path_factory.mktemp("synthetic_videos")
    synthetic_video(folder, BRACKETS, 1)
    synthetic_video(folder, QUOTES, 2)
    (folder / BROKEN).write_text("no video")
    (folder / "notes.txt").touch()
    return folder


@pytest.fixture(scope="module")
def first_run(folder: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A lake that has taken in the folder, and what the command said."""
    lake = folder.with_name("lake")
    return lake, internvid_process("ingest", folder, lake=lake)


@pytest.fixture(scope="module")
def root(first_run: tuple[Path, subprocess.CompletedProcess[str]]) -> Path:
    return first_run[0]


@pytest.fixture(scope="module")
def lake(root: Path) -> Lake:
    return Lake(root=str(root))


def query(root: Path, sql: str) -> list[dict[str, Any]]:
    return json.loads(succeeded(internvid("sql", sql, "--format", "json", lake=root)))


# --- ingest and status ------------------------------------------------------------------------------------------


def test_ingest_says_what_it_found_what_it_made_and_what_failed(first_run):
    root, done = first_run
    text = succeeded(done)
    assert "3 videos: 3 new, 0 changed, 0 known (1 other files passed over)" in text
    rows = cells(text)
    assert ["2", "4", "10", "4", "0.002", "1"] in rows  # videos, clips, frames, captions, hours, failures
    made = {row[0]: row[2:] for row in rows if len(row) == 5}
    assert made == {
        "stage": ["rows added", "changed", "removed"],
        "downloads": ["0", "0", "0"],  # none is on the web
        "raw_videos": ["2", "0", "0"],
        "clips": ["4", "0", "0"],
        "frames": ["10", "0", "0"],
        "fingerprints": ["2", "0", "0"],
        "speech": ["0", "0", "0"],  # no subtitles came with them
        "transcripts": ["0", "0", "0"],
        "clip_things": ["4", "0", "0"],
        "frame_captions": ["10", "0", "0"],
        "clip_captions": ["4", "0", "0"],
        "dialogues": ["2", "0", "0"],
        "clip_embeddings": ["0", "0", "0"],  # no model is active
        "caption_embeddings": ["0", "0", "0"],
        "clip_scores": ["8", "0", "0"],
        "all, with start-up": ["", "", ""],
    }
    assert f"{BROKEN}, raw_videos: UnreadableVideo: this is a text file, not a video" in text
    assert f"{BRACKETS} 0.0-1.5 s: " in text
    assert f"{QUOTES} 0.0-1.5 s: " in text
    assert f"Report: {root}/report.html" in text
    assert (root / "report.html").exists()


def test_a_second_ingest_does_nothing(root, lake, folder):
    tables = (
        "sources",
        "raw_videos",
        "clips",
        "frames",
        "frame_captions",
        "clip_captions",
        "attempts",
        "corpus_snapshot",
    )
    before = {table: lake.version(table) for table in tables}
    text = succeeded(internvid_process("ingest", folder, lake=root))
    assert "3 videos: 0 new, 0 changed, 3 known" in text
    assert [row[0] for row in cells(text) if len(row) == 5] == ["stage", "all, with start-up"]
    assert {table: lake.version(table) for table in tables} == before


def test_status_counts_the_inputs_of_each_stage_and_names_what_failed(root):
    text = succeeded(internvid("status", lake=root))
    assert cells(text) == [
        ["stage", "in", "done", "failed", "skipped", "waiting", "pending"],
        ["downloads", "0", "0", "0", "0", "0", "0"],  # none is on the web
        ["raw_videos", "3", "2", "1", "0", "0", "0"],
        ["clips", "2", "2", "0", "0", "0", "0"],
        ["fingerprints", "2", "2", "0", "0", "0", "0"],
        ["speech", "2", "0", "0", "2", "0", "0"],  # no subtitles came with them
        ["transcripts", "0", "0", "0", "0", "0", "0"],
        ["clip_things", "4", "4", "0", "0", "0", "0"],
        ["frame_captions", "10", "10", "0", "0", "0", "0"],
        ["clip_captions", "4", "4", "0", "0", "0", "0"],
        ["dialogues", "2", "2", "0", "0", "0", "0"],
        ["caption_embeddings", "0", "0", "0", "0", "0", "0"],  # no model is active
        ["clip_embeddings", "0", "0", "0", "0", "0", "0"],
        ["clip_scores", "8", "8", "0", "0", "0", "0"],
    ]
    assert "1 failed:" in text
    assert f"{BROKEN}, raw_videos: UnreadableVideo: this is a text file" in text


# --- sql --------------------------------------------------------------------------------------------------------

ASKED = """
select clip_index, [source, 'b', null] as texts, jpeg[1:2] as start, null as nothing, true as yes, 0.5::double as half
from clips join raw_videos using (video_id) join frames using (clip_id)
where is_middle and source like '%one%' order by clip_index
"""


def test_sql_prints_json_with_lists_and_binary_values(root, folder):
    uri = (folder / BRACKETS).as_uri()
    rows = query(root, ASKED.replace("jpeg[1:2]", "from_hex('FFD8')"))
    assert rows == [
        {"clip_index": index, "texts": [uri, "b", None], "start": "/9g=", "nothing": None, "yes": True, "half": 0.5}
        for index in (0, 1)
    ]


def test_sql_prints_csv_that_reads_back(root, folder):
    text = succeeded(internvid("sql", ASKED.replace("jpeg[1:2]", "jpeg"), "--format", "csv", lake=root))
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["clip_index", "texts", "start", "nothing", "yes", "half"]
    assert [row[:2] for row in rows[1:]] == [
        [str(n), json.dumps([(folder / BRACKETS).as_uri(), "b", None])] for n in (0, 1)
    ]
    assert all(re.fullmatch(r"<[\d,]+ bytes>", row[2]) for row in rows[1:])
    assert [row[3:] for row in rows[1:]] == [["", "True", "0.5"]] * 2


def test_sql_prints_a_table_and_takes_no_text_for_markup(root):
    asked = "select '[red]x[/red]' as a, ['[b]', 'c''d'] as list, from_hex('00FF') as bytes, 'it''s \"q\"' as q"
    assert cells(succeeded(internvid("sql", asked, lake=root))) == [
        ["a", "list", "bytes", "q"],
        ["[red]x[/red]", """["[b]", "c'd"]""", "<2 bytes>", """it's "q\""""],
    ]


def test_sql_that_begins_with_a_comment_is_a_statement_and_no_option(root):
    file = Path(__file__).parents[1] / "sql" / "statistics" / "table_1.sql"
    assert query(root, file.read_text())[0]["clips"] == 4
    assert query(root, "-- all=of\nselect count(*) as clips from clips") == [{"clips": 4}]
    assert query(root, "--none\nselect 1 as number") == [{"number": 1}]
    assert "No such option: --fromat" in refused(internvid("sql", "select 1", "--fromat", "csv", lake=root))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("select nothing_such from clips", "nothing_such"),
        ("copy clips to '/tmp/stolen.parquet'", "disabled"),
        ("select * from read_csv('/etc/passwd')", "disabled"),
        ("delete from clips", "Can only delete from base table"),
        ("set enable_external_access = true", "configuration has been locked"),
    ],
)
def test_sql_that_cannot_be_answered_or_may_not_is_refused_in_words(root, lake, asked, said):
    before = lake.version("clips")
    assert said in refused(internvid("sql", asked, lake=root))
    assert lake.version("clips") == before
    assert lake.dataset("clips").count_rows() == 4
    assert not Path("/tmp/stolen.parquet").exists()


# --- search and export ------------------------------------------------------------------------------------------


def test_search_finds_a_caption_by_its_words(root, lake, folder):
    (one,) = lake.polars("raw_videos").filter(source=(folder / BRACKETS).as_uri())["video_id"]
    captions = lake.polars("clip_captions").filter(pl.col("clip_id").str.starts_with(one)).sort("clip_id")
    flat = next(row for row in captions.to_dicts() if "blue" in row["caption_terms"])
    found = json.loads(succeeded(internvid("search", "blue", "--format", "json", lake=root)))
    assert [
        {name: hit[name] for name in ("video", "start_seconds", "end_seconds", "caption", "clip_id")} for hit in found
    ] == [
        {
            "video": BRACKETS,
            "start_seconds": 0.0,
            "end_seconds": 1.5,
            "caption": flat["caption"],
            "clip_id": flat["clip_id"],
        }
    ]
    assert [hit["page"] for hit in found] == [f"http://127.0.0.1:3030/clips/{flat['clip_id']}"]
    done = internvid("search", "picture", lake=root)
    assert {row[1] for row in cells(succeeded(done))[1:] if row[0]} == {BRACKETS, QUOTES}
    assert "http://127.0.0.1:3030/?q=picture" in done.stderr


def test_export_writes_a_line_for_each_clip(root, tmp_path):
    path = tmp_path / "[x] corpus.jsonl"
    text = succeeded(internvid("export", path, lake=root))
    assert text.startswith("4 clips in ")
    assert len(path.read_text().splitlines()) == 4
    assert path.read_text().splitlines() == published_lines(root)


# --- retry ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_retry_tries_what_was_chosen_again(root, tmp_path):
    root = linked_copy(root, tmp_path / "lake")  # other tests read the first
    lake = Lake(root=str(root))

    def tries() -> list[int]:
        return lake.polars("attempts").filter(outcome="failed")["tries"].to_list()

    assert tries() == [1]
    for options in ([], ["--stage", "clips"], ["--stage", "raw_videos", "--error", "ConnectionError"]):
        assert "0 failures to try again" in succeeded(internvid("retry", *options, lake=root))
    assert tries() == [1]
    text = succeeded(internvid("retry", "--stage", "raw_videos", "--error", "UnreadableVideo", lake=root))
    assert "1 failures to try again" in text
    assert f"{BROKEN}, raw_videos (2 tries): UnreadableVideo" in text
    assert tries() == [2]
    assert "1 failures to try again" in succeeded(internvid("retry", "--all", lake=root))
    assert tries() == [3]


# --- what it costs ----------------------------------------------------------------------------------------------


def test_the_ledger_says_what_was_read_and_how_long_each_stage_took(lake, folder):
    costs = lake.polars("costs").filter(model="").sort("written_at").unique("stage", keep="first")
    of_stage = {row["stage"]: row for row in costs.to_dicts()}
    size = sum((folder / name).stat().st_size for name in (BRACKETS, QUOTES))
    assert (of_stage["raw_videos"]["units"], of_stage["raw_videos"]["bytes_read"]) == (3, size)
    clips = of_stage["clips"]
    assert (clips["units"], clips["frames"], clips["bytes_read"]) == (2, 60, size)
    assert clips["video_seconds"] == pytest.approx(6.0)
    stored = lake.polars("frames")["jpeg"].bin.size().sum()
    assert clips["bytes_written"] > stored > 0
    assert all(row["wall_seconds"] > 0 and row["processor_seconds"] > 0 for row in of_stage.values())
    captioned = lake.polars("costs").filter(stage="frame_captions", model="embedded-measurements").row(0, named=True)
    assert (captioned["units"], captioned["frames"], captioned["wall_seconds"]) == (10, 10, None)
    assert 0 < captioned["model_seconds"] < of_stage["frame_captions"]["wall_seconds"]


PRICES = """
currency = "EUR"
[machines.small]
cpus = 4
per_hour = 2.0
[storage]
per_gb_month = 0.5
"""


def test_plan_reckons_a_collection_from_what_the_lake_measured(root):
    asked = ("plan", "--videos", "7000000", "--hours", "688000", "--days", "30")
    plan = json.loads(succeeded(internvid(*asked, "--json", lake=root)))
    assert (plan["videos"], plan["video_hours"]) == (7_000_000, pytest.approx(688_000))
    assert (plan["measured_videos"], plan["measured_hours"]) == (2, pytest.approx(6 / 3600))
    stages = {stage["stage"]: stage for stage in plan["stages"]}
    assert stages["clips"]["inputs"] == 7_000_000
    assert stages["frame_captions"]["inputs"] == pytest.approx(10 / 6 * 688_000 * 3600, abs=1)
    assert plan["wall_hours"] == pytest.approx(sum(stage["wall_hours"] for stage in plan["stages"]))
    assert plan["bottleneck"] == max(plan["stages"], key=lambda stage: stage["wall_hours"])["stage"]
    assert plan["storage"]["total_bytes"] > 0
    assert plan["money"] is None
    # What was never done here is named with what to run; nothing is made up.
    assert stages["downloads"]["inputs"] == 0
    assert "internvid ingest" in plan["unmeasured"]["statistics"]
    text = succeeded(internvid(*asked, lake=root))
    assert "7,000,000 videos, 688,000 hours" in text
    assert "on 2 videos, 0.00 hours" in text
    assert f"Bottleneck: {plan['bottleneck']}" in text


def test_plan_takes_a_folder_of_videos_or_what_is_pending(root, folder):
    plan = json.loads(succeeded(internvid("plan", folder / BRACKETS, "--workers", "3", "--json", lake=root)))
    assert (plan["videos"], plan["video_hours"], plan["batches"]) == (1, pytest.approx(3 / 3600), 1)
    assert plan["storage"]["video_bytes"] == (folder / BRACKETS).stat().st_size
    assert (plan["workers"]["engine"], plan["workers"]["cpus"]) == ("local", 3)
    plan = json.loads(succeeded(internvid("plan", "--pending", "--json", lake=root)))
    assert (plan["videos"], plan["batches"], plan["processor_hours"]) == (0, 0, 0)


def test_plan_says_what_machines_cost(root, tmp_path):
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    asked = ("plan", "--videos", "1000", "--prices", prices, "--machines", "3")
    plan = json.loads(succeeded(internvid(*asked, "--json", lake=root)))
    assert (plan["workers"]["engine"], plan["workers"]["cpus"], plan["currency"]) == ("ray", 12, "EUR")
    assert plan["money"] == pytest.approx(plan["wall_hours"] * 3 * 2)
    assert plan["money_per_month"] == pytest.approx(plan["storage"]["total_bytes"] / 1e9 * 0.5)
    assert "3 machines, 12 cores" in succeeded(internvid(*asked, lake=root))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "say what is to come"),
        (("--videos", "1", "--pending"), "say what is to come"),
        (("--pending", "--hours", "1"), "--hours goes with --videos"),
        (("--videos", "1", "--machines", "2"), "give --prices FILE"),
        (("--videos", "1", "--kind", "large", "--prices", "PRICES"), "'large'; there are: small"),
        (("--videos", "1", "--prices", "BROKEN"), "the key machines.small.cpus is missing"),
        (("--videos", "1", "--prices", "no.toml"), "no file of prices: no.toml"),
        (("--videos", "1", "--workers", "1", "--cpus", "2"), "--workers for the engine local"),
    ],
)
def test_plan_refuses_what_it_cannot_reckon_with(root, tmp_path, arguments, message):
    files = {"PRICES": tmp_path / "prices.toml", "BROKEN": tmp_path / "broken.toml"}
    files["PRICES"].write_text(PRICES)
    files["BROKEN"].write_text(PRICES.replace("cpus = 4", ""))
    done = internvid("plan", *(str(files.get(argument, argument)) for argument in arguments), lake=root)
    assert message in refused(done)
    assert done.returncode == 2


# --- what is not there ------------------------------------------------------------------------------------------


def test_a_folder_that_is_missing_is_an_error_that_names_it(tmp_path):
    missing = tmp_path / "no [such] folder"
    assert f"no such file or folder: {missing}" in refused(internvid("ingest", missing, lake=tmp_path / "lake"))


def test_a_mistyped_lake_is_an_error_and_makes_no_new_one(tmp_path):
    missing = tmp_path / "lke"
    assert "there is no lake at" in refused(internvid_process("status", lake=missing))
    for command in (["sql", "select 1"], ["search", "x"], ["retry"], ["maintain"]):
        assert "there is no lake at" in refused(internvid(*command, lake=missing))
    assert not missing.exists()


def test_a_folder_without_videos_is_an_error_that_says_so(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").touch()
    done = internvid("ingest", tmp_path / "folder", lake=tmp_path / "lake")
    assert "0 videos: 0 new, 0 changed, 0 known (1 other files passed over)" in done.stdout
    assert "no video in" in refused(done)


# --- odd questions ----------------------------------------------------------------------------------------------


def test_sql_that_fails_while_its_rows_are_made_is_told_in_words(root):
    asked = "select cast(caption as integer) from clip_captions"
    assert "Could not convert string" in refused(internvid("sql", asked, lake=root))


def test_an_unknown_snapshot_is_told_in_words(root):
    assert "no-such" in refused(internvid("sql", "select 1", "--at", "no-such", lake=root))


def test_sums_are_numbers_in_json(root):
    assert query(root, "select sum(unit_rows) as total, 0.5 as half from clips") == [{"total": 8, "half": 0.5}]


def test_names_of_columns_and_paths_with_brackets_are_printed_as_they_are(root, tmp_path):
    path = tmp_path / "[x] corpus.jsonl"
    printed = [
        cells(succeeded(internvid("sql", 'select 1 as "[a]"', lake=root))),
        str(path) in succeeded(internvid("export", path, lake=root)).replace("\n", ""),
    ]
    assert printed == [[["[a]"], ["1"]], True]
