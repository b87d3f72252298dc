"""The held-out clips: no model of the lake is trained on them, whatever its subset, and all are evaluated on them."""

from typing import TYPE_CHECKING

from resources.corpus.clip_contents import TABLES, view_contents
from resources.corpus.subsets import connected, select_subset, subset_named
from resources.lake.store import Lake

if TYPE_CHECKING:
    import pyarrow as pa

MAX_CLIPS = 10_000  # of more clips, those with the smallest hashes of their ids are taken


def held_out_clips(lake: Lake, snapshot: str) -> "pa.Table":
    """Returns clip_id and content of the held-out clips: of the snapshot's test videos, by the default split."""
    with lake.connect(TABLES, at=snapshot) as connection:
        connection.register("chosen", _every_clip_with_its_split(lake, snapshot))
        view_contents(connection)
        return connection.sql(
            "select clip_id, content from chosen inner join contents using (clip_id) where split = 'test' "
            "order by md5(clip_id) limit $limit",
            params={"limit": MAX_CLIPS},
        ).to_arrow_table()


def clips_to_train_on(lake: Lake, subset: str, snapshot: str) -> "tuple[pa.Table, int]":
    """Returns clip_id and weight of the subset's train clips, and the number of train clips that are left out.

    They are in order of clip_id. Clips of held-out videos are left out; a subset with its own split may have some.
    """
    with lake.connect(["subsets"]) as connection:
        connection.register("chosen", _every_clip_with_its_split(lake, snapshot))
        rows = connection.sql(
            "select clip_id, weight, video_id in (select video_id from chosen where split = 'test') as is_held_out "
            "from subsets where subset = $subset and split = 'train' order by clip_id",
            params={"subset": subset},
        )
        kept = rows.filter("not is_held_out").project("clip_id, weight").to_arrow_table()
        return kept, rows.count("*").fetchall()[0][0] - len(kept)


def _every_clip_with_its_split(lake: Lake, snapshot: str) -> "pa.Table":
    everything = subset_named("all")
    with connected(lake, everything, at=snapshot) as connection:
        return select_subset(connection, everything).read_all()
