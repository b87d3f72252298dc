"""The clips that no model of the lake is trained on, whatever subset and split it names: all are measured on them."""

from typing import TYPE_CHECKING

from resources.lake import Lake
from resources.statements import statement
from resources.subsets import select_subset, subset_named

if TYPE_CHECKING:
    import pyarrow as pa

CLIPS_AT_MOST = 10_000  # of more, those with the smallest hash of their id


def held_out_clips(lake: Lake, snapshot: str) -> "pa.Table":
    """clip_id and content of the clips to measure on: of the snapshot's test videos, by the split that is default."""
    with lake.connect(["clips", "frames", "clip_captions"], at=snapshot) as connection:
        connection.register("chosen", _every_clip_with_its_split(lake, snapshot))
        connection.execute(f"create temp view contents as {statement('operations/clip_contents')}")
        return connection.sql(
            "select clip_id, content from chosen inner join contents using (clip_id) where split = 'test' "
            "order by md5(clip_id) limit $limit",
            params={"limit": CLIPS_AT_MOST},
        ).to_arrow_table()


def clips_to_train_on(lake: Lake, subset: str, snapshot: str) -> "tuple[pa.ChunkedArray, int]":
    """Ids of the subset's train clips, and how many of its train clips are left out for being of a held-out video: a
    subset with another split may have such.
    """
    with lake.connect(["subsets"]) as connection:
        connection.register("chosen", _every_clip_with_its_split(lake, snapshot))
        rows = connection.sql(
            "select clip_id, video_id in (select video_id from chosen where split = 'test') as is_held_out "
            "from subsets where subset = $subset and split = 'train' order by clip_id",
            params={"subset": subset},
        )
        kept = rows.filter("not is_held_out").to_arrow_table()["clip_id"]
        return kept, rows.count("*").fetchall()[0][0] - len(kept)


def _every_clip_with_its_split(lake: Lake, snapshot: str) -> "pa.Table":
    everything = subset_named("all")
    with lake.connect(everything.tables, at=snapshot, untrusted=True) as connection:
        return select_subset(connection, everything).read_all()
