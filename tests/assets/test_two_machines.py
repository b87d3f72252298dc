"""One lake in a bucket, and two machines: what the second needs of what the first took in is in the bucket."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from command import internvid_process, succeeded

from resources.lake.schema import TABLES
from resources.lake.store import Lake

pytestmark = pytest.mark.slow(minutes=2)

ROOT = "s3://lakes/two-machines"
SUBTITLES = "1\n00:00:00,000 --> 00:00:01,000\nThe sea is calm today.\n"


@dataclass
class Machine:
    """Folders of its own, and the settings that all machines share."""

    folder: Path
    s3: dict[str, str]

    def internvid(self, *arguments: str | Path) -> str:
        for name in ("home", "temporary"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        return succeeded(
            internvid_process(
                *arguments,
                lake=ROOT,
                INTERNVID_STORAGE_OPTIONS=json.dumps(self.s3),
                INTERNVID_KEEP="import",
                HOME=str(self.folder / "home"),
                TMPDIR=str(self.folder / "temporary"),
            )
        )


def test_a_second_machine_goes_on_when_the_first_is_gone(s3, tmp_path, synthetic_video: Callable[..., Path]) -> None:
    first, second = Machine(tmp_path / "first", s3), Machine(tmp_path / "second", s3)
    for machine in (first, second):
        machine.folder.mkdir()
    videos = first.folder / "videos"
    videos.mkdir()
    synthetic_video(videos, "the sea #1.mp4", 1)
    (videos / "the sea #1.en.srt").write_text(SUBTITLES)
    first.internvid("ingest", videos)
    lake = Lake(root=ROOT, storage_options=s3)
    before = {table: lake.polars(table) for table in ("raw_videos", "clips", "speech", "clip_captions")}
    assert before["speech"]["text"].to_list() == ["The sea is calm today."]
    shutil.rmtree(first.folder)

    # As after an upgrade: the video is probed, cut and read again, by a machine that never had its files.
    for table in ("raw_videos", "speech"):
        rows = lake.dataset(table).to_table()
        position = rows.schema.get_field_index("provenance")
        older = pa.array(["of an older version"] * rows.num_rows, rows.schema.field(position).type)
        lake.upsert(table, rows.set_column(position, rows.schema.field(position), older))
    lake.delete("clips", before["clips"]["clip_id"].to_list())
    other = second.folder / "videos"
    other.mkdir()
    synthetic_video(other, "another.mp4", 2)
    second.internvid("ingest", other)

    assert lake.polars("attempts").filter(pl.col("error_class") == "FileNotFoundError").height == 0
    for table, rows in before.items():
        key = TABLES[table].key
        again = lake.polars(table).join(rows.select(key), on=key, how="semi")
        assert again.sort(key)["provenance"].to_list() == rows.sort(key)["provenance"].to_list(), table
    kept = [*lake.polars("raw_videos")["path"], *lake.polars("sources")["subtitles"].explode().drop_nulls()]
    assert len(kept) == 3
    assert all(path.startswith(f"{ROOT}/media/") for path in kept)
    assert "The sea is calm today." in second.internvid("why", before["clips"]["clip_id"][0])
