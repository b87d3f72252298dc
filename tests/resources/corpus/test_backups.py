"""What a backup holds is the lake as it was, whatever others do meanwhile."""

import threading
from pathlib import Path

import pytest
from changing_lake import ChangingLake

from resources.corpus import backups
from resources.corpus.backups import back_up, restore
from resources.lake.paths import StoragePath
from resources.lake.schema import TABLES
from resources.lake.store import Lake

# In a bucket these do the same, file by file, for minutes.
in_a_folder = pytest.mark.parametrize("bare_lake", ["folder"], indirect=True)


def beside(lake: Lake, name: str) -> Lake:
    return Lake(root=f"{lake.root.rstrip('/')}-{name}", storage_options=lake.storage_options)


def backup_of(lake: Lake) -> StoragePath:
    return StoragePath(f"{lake.root.rstrip('/')}-backup", lake.file_options)


def media(lake: Lake) -> str:
    return f"{lake.root}/media"


def rows(lake: Lake, at: str | None = None) -> dict[str, list]:
    names = [name for name in TABLES if name != "batch_states" and (at is None or TABLES[name].pinned)]
    return {name: lake.polars(name, at=at).sort(TABLES[name].key).to_dicts() for name in names}


def test_a_restored_lake_has_all_rows_snapshots_and_files_and_goes_on(lake):
    changing = ChangingLake(lake, 0)
    changing.add_batch()
    lake.tag("first")
    then = rows(lake)
    changing.change()
    lake.optimize()
    lake.file("checkpoints/a/model.safetensors").put(__file__)
    lake.file("media/ab/abc.mp4").put(__file__)
    for name in ("media/downloads/part/x", ".dagster/history/runs.db", "training/a/state.pt"):
        lake.file(name).put(__file__)
    back_up(lake, media(lake), backup_of(lake))
    restored = beside(lake, "restored")
    restore(backup_of(lake), restored, media(restored))
    assert rows(restored) == rows(lake)
    assert restored.tags() == ["first"]
    assert {name: content for name, content in then.items() if TABLES[name].pinned} == rows(restored, "first")
    assert restored.file("checkpoints/a/model.safetensors").read_text() == Path(__file__).read_text()
    assert restored.file("media/ab/abc.mp4").exists()
    for name in ("media/downloads/part/x", ".dagster/history/runs.db", "training/a/state.pt"):
        assert not restored.file(name).exists()
    assert restored.dataset("batch_states").count_rows() == 0, "they name versions of the other lake"
    ChangingLake(restored, 5).add_batch()
    restored.optimize()


def test_the_next_backup_copies_what_is_new_and_removes_what_nothing_needs(lake):
    changing = ChangingLake(lake, 1)
    changing.add_batch()
    first = back_up(lake, media(lake), backup_of(lake))
    again = back_up(lake, media(lake), backup_of(lake))
    assert (again.files, again.removed) == (0, 0)
    assert again.kept == first.files
    changing.add_batch()
    changing.delete_rows()
    more = back_up(lake, media(lake), backup_of(lake))
    assert 0 < more.files < first.files
    assert more.removed > 0
    needed = more.files + more.kept + 1  # and backup.json
    assert len(backup_of(lake).files(with_subfolders=True)) == needed
    restored = beside(lake, "restored")
    restore(backup_of(lake), restored, media(restored))
    assert rows(restored) == rows(lake)


@in_a_folder
def test_a_file_that_was_replaced_by_one_of_the_same_size_is_copied_again(lake):
    report = lake.file("report.html")
    report.write_text("as it was")
    back_up(lake, media(lake), backup_of(lake))
    report.write_text("as it is.")
    assert back_up(lake, media(lake), backup_of(lake)).files == 1
    assert (backup_of(lake) / "lake" / "report.html").read_text() == "as it is."


@in_a_folder
def test_each_table_is_at_one_of_its_versions_while_others_write(lake):
    changing = ChangingLake(lake, 2)
    changing.add_batch()
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            changing.add_batch()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        back_up(lake, media(lake), backup_of(lake))
    finally:
        ended.set()
        writer.join()
    restored = beside(lake, "restored")
    restore(backup_of(lake), restored, media(restored))
    later = {name: {row[TABLES[name].key]: row for row in content} for name, content in rows(lake).items()}
    for name, content in rows(restored).items():
        # This writer only adds rows: what was copied is there still, as it was.
        assert all(later[name][row[TABLES[name].key]] == row for row in content), name


@in_a_folder
@pytest.mark.parametrize("damage", ["no names", "half names", "a file", "nothing"])
def test_a_damaged_backup_and_a_lake_that_is_there_are_refused(lake, damage):
    ChangingLake(lake, 3).add_batch()
    backup = backup_of(lake)
    back_up(lake, media(lake), backup)
    restored = beside(lake, "restored")
    match damage:
        case "no names":
            (backup / "backup.json").remove()
        case "half names":
            (backup / "backup.json").write_text((backup / "backup.json").read_text()[:100])
        case "a file":
            next(file for file, _ in backup.files(with_subfolders=True) if "/data/" in file.path).remove()
        case "nothing":
            restored.create_tables()
    with pytest.raises(ValueError, match=r"no whole backup|lacks 1 of its files|there is a lake"):
        restore(backup, restored, media(restored))
    assert restored.exists() == (damage == "nothing")


@in_a_folder
def test_a_restore_that_was_killed_is_run_again_and_then_whole(lake, monkeypatch):
    ChangingLake(lake, 4).add_batch()
    back_up(lake, media(lake), backup_of(lake))
    restored = beside(lake, "restored")
    steps = iter(range(40))
    copy = backups._copy

    def killed(*arguments):
        if next(steps) == 30:
            raise KeyboardInterrupt
        copy(*arguments)

    monkeypatch.setattr(backups, "_copy", killed)
    with pytest.raises(KeyboardInterrupt):
        restore(backup_of(lake), restored, media(restored))
    monkeypatch.undo()
    assert not restored.exists()
    restore(backup_of(lake), restored, media(restored))
    assert rows(restored) == rows(lake)
