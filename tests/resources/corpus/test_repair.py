"""Tables that are damaged by hand: what is found, what a repair saves, and what it leaves alone."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from changing_lake import ChangingLake
from command import internvid, refused, succeeded
from lake_copies import IN_A_FOLDER

from resources.corpus.damage import HINT
from resources.corpus.repair import Irreparable, damages, repair
from resources.corpus.snapshots import take_snapshot
from resources.incremental.provenance import with_provenance
from resources.lake.maintenance import maintain
from resources.lake.schema import CLIPS, FRAMES, TABLES
from resources.lake.store import Lake

# --- what is done to a table ----------------------------------------------------------------------------------------


def folder_of(lake: Lake, name: str) -> Path:
    return Path(lake.uri(name))


def data_files(lake: Lake, name: str) -> list[Path]:
    """Oldest first."""
    fragments = lake.dataset(name).get_fragments()
    return [folder_of(lake, name) / "data" / file.path for fragment in fragments for file in fragment.data_files()]


def index_files(lake: Lake, name: str) -> list[Path]:
    segments = [segment for index in lake.dataset(name).describe_indices() for segment in index.segments]
    return [path for it in segments for path in (folder_of(lake, name) / "_indices" / it.uuid).iterdir()]


def newest_manifest(lake: Lake, name: str) -> Path:
    return min((folder_of(lake, name) / "_versions").glob("*.manifest"))


def cut(path: Path, bytes_left: int) -> None:
    rewrite(path, path.read_bytes()[:bytes_left])


def rewrite(path: Path, content: bytes) -> None:
    path.unlink()  # it may be linked to that of other tests' lakes
    path.write_bytes(content)


def delete_data(lake: Lake, name: str) -> None:
    data_files(lake, name)[0].unlink()


def cut_data(lake: Lake, name: str) -> None:
    path = data_files(lake, name)[0]
    cut(path, path.stat().st_size - 1)


def lose_the_end_of_data(lake: Lake, name: str) -> None:
    """As a crash of the machine may: the size is right, the content was not written."""
    path = data_files(lake, name)[0]
    rewrite(path, path.read_bytes()[:-300] + bytes(300))


def cut_manifest(lake: Lake, name: str) -> None:
    cut(newest_manifest(lake, name), 100)


def delete_manifest(lake: Lake, name: str) -> None:
    newest_manifest(lake, name).unlink()


def lose_deletions(lake: Lake, name: str) -> None:
    lake.delete(name, [lake.polars(name)[TABLES[name].key][0]])
    for path in (folder_of(lake, name) / "_deletions").iterdir():
        path.unlink()


def lose_indexes(lake: Lake, name: str) -> None:
    for path in index_files(lake, name):
        path.unlink()


def cut_an_index(lake: Lake, name: str) -> None:
    path = index_files(lake, name)[-1]
    cut(path, path.stat().st_size - 1)


def cut_an_older_manifest(lake: Lake, name: str) -> None:
    cut(max((folder_of(lake, name) / "_versions").glob("*.manifest")), 50)


LOSING: dict[str, Callable[[Lake, str], None]] = {
    "data deleted": delete_data,
    "data cut": cut_data,
    "end of data not written": lose_the_end_of_data,
    "manifest cut": cut_manifest,
    "manifest deleted": delete_manifest,
    "deletions lost": lose_deletions,
}
LOSING_NOTHING: dict[str, Callable[[Lake, str], None]] = {
    "indexes lost": lose_indexes,
    "an index cut": cut_an_index,
    "an older manifest cut": cut_an_older_manifest,
}


INGEST = "; `internvid ingest` makes them again"


# --- the lakes ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three_batches(tmp_path_factory: pytest.TempPathFactory, new_lake: Callable[[Path], Lake]) -> Lake:
    """Its tables have a fragment that the indexes cover, and newer ones."""
    lake = new_lake(tmp_path_factory.mktemp("three batches") / "lake")
    changing = ChangingLake(lake, 1)
    for _ in range(2):
        changing.add_batch()
    lake.optimize()
    changing.add_batch()
    return lake


@pytest.fixture
def damaged_lake(three_batches: Lake, tmp_path: Path) -> Lake:
    return Lake(root=str(shutil.copytree(three_batches.root, tmp_path / "lake")))


def rows(lake: Lake, name: str) -> dict[str, dict[str, Any]]:
    return {row[TABLES[name].key]: row for row in lake.polars(name).to_dicts()}


def files(lake: Lake) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(lake.root).rglob("*") if path.is_file()}


# --- tests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", LOSING)
def test_lost_rows_are_counted_and_a_repair_leaves_the_others_and_a_table_that_works(damaged_lake: Lake, how: str):
    lake = damaged_lake
    before = rows(lake, "clips")
    LOSING[how](lake, "clips")
    (found,) = damages(lake)
    (line,) = found.lines()
    assert line.startswith("clips: ")
    assert "2026-01-01-00" in line or how == "deletions lost", "it names batches"
    assert list(repair(lake, [found]))
    assert damages(lake) == []
    after = rows(lake, "clips")
    assert after.items() <= before.items()
    assert len(before) - len(after) <= max(found.rows, found.uncommitted)
    ChangingLake(lake, 9).change()


@pytest.mark.parametrize("how", LOSING_NOTHING)
def test_damage_that_loses_no_row_is_found_and_mended(damaged_lake: Lake, how: str):
    lake = damaged_lake
    before = rows(lake, "clips")
    LOSING_NOTHING[how](lake, "clips")
    (found,) = damages(lake)
    assert not found.loses_rows
    assert all("no row" in line for line in found.lines())
    assert list(repair(lake, [found]))
    assert damages(lake) == []
    assert rows(lake, "clips") == before
    maintain(partial(lake.dataset, "clips"), CLIPS, keep_versions_for=timedelta(0))


def test_what_compaction_wrote_and_is_lost_is_taken_from_the_files_that_it_merged(damaged_lake: Lake):
    lake = damaged_lake
    lake.optimize()
    before = {name: rows(lake, name) for name in ("sources", "clips", "frames")}
    for name in before:
        for path in data_files(lake, name):
            path.unlink()
    found = damages(lake)
    assert {each.table: each.rows for each in found} == {name: len(content) for name, content in before.items()}
    list(repair(lake, found))
    assert {name: rows(lake, name) for name in before} == before
    assert damages(lake) == []


def test_sources_that_no_version_has_are_not_repaired_and_the_command_says_so(damaged_lake: Lake):
    lake = damaged_lake
    data_files(lake, "sources")[-1].unlink()
    before = lake.version("sources")
    done = internvid("check", "--repair", lake=lake.root)
    assert done.returncode == 1
    assert "rows of sources are lost, and nothing in the lake can make them again" in refused(done)
    assert "Restore the lake from a backup" in refused(done)
    assert lake.version("sources") == before
    with pytest.raises(Irreparable):
        list(repair(lake, damages(lake)))


def test_the_command_names_the_damage_with_code_1_repairs_it_and_says_what_is_pending(damaged_lake: Lake):
    lake = damaged_lake
    delete_data(lake, "frames")
    cut_manifest(lake, "clip_captions")
    done = internvid("check", lake=lake.root)
    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["frames", "clip_captions"]
    assert "`internvid check --repair`" in done.stderr
    assert "repaired. Pending: " in succeeded(internvid("check", "--repair", lake=lake.root))
    assert "the tables are whole" in succeeded(internvid("check", lake=lake.root))
    succeeded(internvid("sql", "select count(*) from frames", lake=lake.root))


def test_other_commands_name_a_damaged_table_and_the_check(damaged_lake: Lake):
    cut_manifest(damaged_lake, "sources")
    with pytest.raises(RuntimeError, match=r"a table .* cannot be read: .*`internvid check` says what is lost"):
        internvid("status", lake=damaged_lake.root)


def test_a_whole_lake_is_left_as_it_is(damaged_lake: Lake):
    before = files(damaged_lake)
    assert "the tables are whole" in succeeded(internvid("check", "--repair", lake=damaged_lake.root))
    assert files(damaged_lake) == before


def test_snapshots_of_which_rows_are_lost_are_named_and_removed(damaged_lake: Lake):
    lake = damaged_lake
    name, _, _ = take_snapshot(lake, run_id="test")
    path = data_files(lake, "clips")[0]
    ChangingLake(lake, 3).add_batch()
    later, _, _ = take_snapshot(lake, run_id="test")
    lake.optimize()
    path.unlink()
    (found,) = damages(lake)
    assert sorted(found.tags) == sorted([name, later])
    assert not found.loses_rows
    list(repair(lake, [found]))
    assert lake.tags() == []
    assert damages(lake) == []


@pytest.mark.parametrize("told_by", ["a snapshot", "the batches that were counted"])
def test_a_newest_version_that_is_gone_is_told_by_what_names_it(damaged_lake: Lake, told_by: str):
    lake = damaged_lake
    ChangingLake(lake, 3).add_batch()
    before = rows(lake, "clips")
    version = lake.version("clips")
    if told_by == "a snapshot":
        take_snapshot(lake, run_id="test")
    else:
        mark = {"batch_state_id": ["clips/"], "stage": ["clips"], "table_versions": [json.dumps({"clips": version})]}
        lake.upsert("batch_states", pa.table(mark))
    assert damages(lake) == []
    newest_manifest(lake, "clips").unlink()
    (folder_of(lake, "clips") / HINT).unlink()  # there is none in a bucket
    (found,) = damages(lake)
    assert next(found.lines()).startswith(f"clips: version {version} cannot be opened (_versions/")
    list(repair(lake, [found]))
    assert damages(lake) == []
    assert lake.tags() == []
    assert rows(lake, "clips").items() < before.items()
    assert lake.dataset("batch_states").count_rows() == 0


def test_a_table_without_any_manifest_is_found_and_not_made_anew(damaged_lake: Lake):
    lake = damaged_lake
    shutil.rmtree(folder_of(lake, "sources") / "_versions")
    (found,) = damages(lake)
    assert list(found.lines()) == [
        "sources: version 1 cannot be opened (all of its manifests are missing), nor an older one: all rows are lost"
    ]
    with pytest.raises(Irreparable, match="restore the lake from a backup"):
        list(repair(lake, [found]))
    with pytest.raises(RuntimeError, match=r"a table .* cannot be read: .*`internvid check` says what is lost"):
        internvid("ingest", "/tmp", lake=lake.root)
    assert internvid("check", lake=lake.root).returncode == 1
    assert not (folder_of(lake, "sources") / "_versions").exists()


def test_a_table_without_any_version_is_made_anew_where_its_rows_can_be(damaged_lake: Lake):
    lake = damaged_lake
    name, _, _ = take_snapshot(lake, run_id="test")
    before = rows(lake, "frames")
    shutil.rmtree(folder_of(lake, "clips") / "_versions")
    (found,) = damages(lake)
    assert found.tags == [name]
    assert f"clips: it was created again, without rows{INGEST}" in list(repair(lake, [found]))
    assert damages(lake) == []
    assert (rows(lake, "clips"), rows(lake, "frames"), lake.tags()) == ({}, before, [])
    ChangingLake(lake, 9).change()


def frames(video: str, number: int) -> pa.Table:
    """Rows with their digests."""
    content = [
        dict.fromkeys(FRAMES.content.names)
        | {"frame_id": f"{video}_{index}", "clip_id": video, "video_id": video, "jpeg": bytes([index]) * 200}
        for index in range(number)
    ]
    made_by = {"provenance": video, "unit_rows": number, "version": "1", "run_id": "r", "written_at": datetime.now(UTC)}
    batch = pa.RecordBatch.from_pylist(content, schema=FRAMES.content)
    return pa.Table.from_batches([with_provenance(batch, FRAMES, {"ingest_batch": "b", **made_by})])


@IN_A_FOLDER
def test_a_changed_byte_is_found_where_every_byte_is_read_and_only_its_row_is_lost(lake: Lake):
    lake.upsert("frames", frames("v", 20))
    assert damages(lake, deep=True) == []
    (path,) = data_files(lake, "frames")
    content = path.read_bytes()
    at = content.index(bytes([7]) * 200) + 100
    rewrite(path, content[:at] + b"x" + content[at + 1 :])
    assert damages(lake) == []
    (found,) = damages(lake, deep=True)
    assert next(iter(found.lines())) == "frames: 1 rows are lost: 1 rows are not as they were written"
    list(repair(lake, [found], deep=True))
    assert damages(lake, deep=True) == []
    assert set(rows(lake, "frames")) == {f"v_{index}" for index in range(20)} - {"v_7"}


def test_a_file_that_is_missing_is_seen_wherever_the_lake_is(lake: Lake):
    lake.upsert("frames", frames("v", 20))
    lake.upsert("frames", frames("w", 20))
    (fragment, _) = lake.dataset("frames").get_fragments()
    (file,) = fragment.data_files()
    (lake.file("frames.lance/data") / file.path).remove()
    (damage,) = damages(lake)
    assert (damage.table, damage.rows) == ("frames", 20)
    list(repair(lake, [damage]))
    assert damages(lake, deep=True) == []
    assert set(rows(lake, "frames")) == {f"w_{index}" for index in range(20)}
