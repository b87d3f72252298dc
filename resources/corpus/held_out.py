"""The held-out clips: no model of the lake is trained on them, whatever its subset, and all are evaluated on them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from resources.corpus.clip_contents import view_contents
from resources.corpus.subsets import connected, select_subset, subset_named
from resources.lake.store import Lake

if TYPE_CHECKING:
    import pyarrow as pa

MAX_CLIPS = 10_000  # of more clips, those with the smallest hashes of their ids are taken


def held_out_clips(lake: Lake, snapshot: str) -> "pa.Table":
    """Returns clip_id and content of the held-out clips: of the snapshot's test videos, by the default split."""
    with (
        _every_clip_with_its_split(lake, snapshot) as split,
        lake.connect(("clips", "clip_captions"), at=snapshot) as connection,
    ):
        connection.register("split", split)
        # The reader is passed once and can be no side of two joins; of it, a tenth of the clips is kept.
        connection.execute("create temp table test_clips as select clip_id from split where split = 'test'")
        held_out = connection.sql(
            "select distinct clip_id from clip_captions inner join test_clips using (clip_id) "
            "order by md5(clip_id) limit $limit",
            params={"limit": MAX_CLIPS},
        ).to_arrow_table()
        connection.register("held_out", held_out)
        connection.register("frames", _frames_of(lake, snapshot, held_out["clip_id"]))
        view_contents(connection)
        return connection.sql(
            "select clip_id, content from held_out inner join contents using (clip_id) order by md5(clip_id)"
        ).to_arrow_table()


def clips_to_train_on(lake: Lake, subset: str, snapshot: str) -> "tuple[pa.Table, int]":
    """Returns clip_id and weight of the subset's train clips, and the number of train clips that are left out.

    They are in order of clip_id. Clips of held-out videos are left out; a subset with its own split may have some.
    """
    with _every_clip_with_its_split(lake, snapshot) as split, lake.connect(["subsets"]) as connection:
        connection.register("split", split)
        connection.execute("create temp table test_videos as select distinct video_id from split where split = 'test'")
        rows = connection.sql(
            "select clip_id, weight, video_id in (from test_videos) as is_held_out "
            "from subsets where subset = $subset and split = 'train' order by clip_id",
            params={"subset": subset},
        )
        kept = rows.filter("not is_held_out").project("clip_id, weight").to_arrow_table()
        return kept, rows.count("*").fetchall()[0][0] - len(kept)


@contextmanager
def _every_clip_with_its_split(lake: Lake, snapshot: str) -> "Iterator[pa.RecordBatchReader]":
    everything = subset_named("all")
    with connected(lake, everything, at=snapshot) as connection:
        yield select_subset(connection, everything)


def _frames_of(lake: Lake, snapshot: str, clip_ids: "pa.ChunkedArray") -> "pa.RecordBatchReader":
    """Reads what is hashed of the frames of a few of the clips, and keeps no others in memory."""
    import pyarrow as pa
    import pyarrow.compute as pc

    read = lake.dataset("frames", snapshot).scanner(columns=["clip_id", "frame_id", "digest"]).to_reader()
    few = clip_ids.combine_chunks()
    return pa.RecordBatchReader.from_batches(
        read.schema, (batch.filter(pc.is_in(batch["clip_id"], few)) for batch in read)
    )
