"""What was deleted is in no file of its table any more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa

from resources.lake.erasure import remove_older_versions, rewrite_without_deleted
from resources.lake.schema import CLIP_CAPTIONS
from resources.lake.store import Lake

CLIPS = 500


def files_with(text: str, lake: Lake) -> list[str]:
    paths = Path(lake.uri("clip_captions")).rglob("*")
    return [str(path) for path in paths if path.is_file() and text.encode() in path.read_bytes()]


def test_one_row_of_many_in_a_fragment_goes_with_its_index_entries_and_the_rest_is_found_as_before(
    tmp_path: Path, new_lake: Callable[[Path], Lake]
):
    lake = new_lake(tmp_path)
    made = {"video_id": "v", "provenance": "made", "unit_rows": 1, "ingest_batch": "b"}
    rows = [
        made | {"clip_id": f"key{number:04}"} | dict.fromkeys(("caption", "caption_terms"), f"zq{number:04}zq is seen")
        for number in range(CLIPS)
    ]
    schema = CLIP_CAPTIONS.arrow
    lake.upsert(
        "clip_captions", pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema=schema)
    )
    lake.optimize()
    lake.delete("clip_captions", ["key0000"])  # the lowest key: indexes keep the bounds of their pages
    assert len(lake.dataset("clip_captions").get_fragments()) == 1
    assert files_with("key0000", lake) != []

    rewrite_without_deleted(partial(lake.dataset, "clip_captions"), CLIP_CAPTIONS)
    assert remove_older_versions(partial(lake.dataset, "clip_captions")) > 0

    assert (files_with("key0000", lake), files_with("zq0000zq", lake)) == ([], [])
    dataset = lake.dataset("clip_captions")
    assert (dataset.count_rows(), len(dataset.versions())) == (CLIPS - 1, 1)
    assert {name for index in dataset.describe_indices() for name in index.field_names} == {
        "clip_id",
        "ingest_batch",
        "caption_terms",
    }
    assert lake.search("zq0001zq")["clip_id"].to_pylist() == ["key0001"]
    assert lake.fetch("clip_captions", ["key0499"], ["caption"]).to_pylist() == [{"caption": "zq0499zq is seen"}]
