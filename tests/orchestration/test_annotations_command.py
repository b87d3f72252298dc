"""`internvid annotations` in a process of its own, as a user calls it."""

import csv
from pathlib import Path

import dagster as dg
import pytest
import typer
from typer.testing import CliRunner

from orchestration.cli.annotations import annotations
from orchestration.cli.session import Session
from orchestration.settings import Settings
from resources.lake.store import Lake


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("INTERNVID_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    return str(tmp_path / "lake")


def called(*arguments: object) -> tuple[int, list[str]]:
    """Exit code and printed lines."""
    app = typer.Typer()
    app.command()(annotations)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, [line for line in result.output.splitlines() if line]


def spans_file(path: Path, *rows: list) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["url", "start", "end", "caption"], *rows])
    return path


def test_it_says_what_became_of_the_rows_and_tells_dagster(root, tmp_path):
    one = spans_file(tmp_path / "one.csv", ["https://a.example/1", 1, 2, "a dog"], ["https://a.example/2", 1, 2, ""])
    two = spans_file(tmp_path / "two.csv", ["https://a.example/1", 1, 2, "a dog"], ["https://a.example/1", 3, 2, "x"])
    assert called(one, two, "--as", "set-1", "--lake", root) == (
        0,
        [
            "4 spans read: 2 new, 0 changed, 1 unchanged, 1 bad",
            "2 videos are new as sources",
            "the table attempts lists the bad rows, stage annotations",
        ],
    )
    session = Session(Settings(lake=root))
    (batch,) = set(Lake(root=root).polars("sources")["ingest_batch"])
    assert session.instance.get_dynamic_partitions("ingest_batch") == [batch]
    event = session.instance.get_latest_materialization_event(dg.AssetKey("annotations"))
    assert event is not None
    assert event.asset_materialization is not None
    told = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert told == {"annotations_new": 2, "annotations_changed": 0, "annotations_removed": 0}

    assert called(two, "--as", "set-1", "--replace", "--lake", root) == (
        0,
        [
            "2 spans read: 0 new, 0 changed, 1 unchanged, 1 bad",
            "1 removed that are no longer in it",
            "0 videos are new as sources",
            "the table attempts lists the bad rows, stage annotations",
        ],
    )


def test_what_the_user_can_set_right_is_said_and_nothing_is_made(root, tmp_path):
    path = spans_file(tmp_path / "one.csv")
    for arguments, why in (
        ((path, "--as", "My Set"), "cannot name a dataset"),
        ((tmp_path / "gone.csv", "--as", "set-1"), "does not exist"),
        ((path,), "Missing option '--as'"),
    ):
        code, lines = called(*arguments, "--lake", root)
        assert (code, why in " ".join(" ".join(lines).replace("│", " ").split())) == (2, True), lines
    assert not Path(root).exists()

    (tmp_path / "two.csv").write_text("a,b\n1,2\n")
    code, lines = called(tmp_path / "two.csv", "--as", "set-1", "--lake", root)
    assert (code, "no column says where a video is" in " ".join(" ".join(lines).replace("│", " ").split())) == (2, True)
