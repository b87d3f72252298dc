"""Finds sources by what people and sites call them: ids, URLs, channels, paths, hashes of files.

A statement that joins sources, downloads and videos to compare their names reads all of them. Here each column that
holds names is asked by itself, so that its index answers (`resources.lake.maintenance.ASKED_BY_NAME`); the statement
then sees the few sources that were found, and decides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from resources.incremental.provenance import digest
from resources.lake.maintenance import ASKED_BY_NAME
from resources.lake.schema import DOWNLOADS, RAW_VIDEOS, SOURCES, TABLES
from resources.lake.statements import statement

if TYPE_CHECKING:
    from resources.lake.store import Lake

ID_LENGTH = 16  # of source_id and video_id; the keys of all rows made from a video begin with its video_id
COLUMNS = {table.name: (table.key, *ASKED_BY_NAME[table.name]) for table in (SOURCES, DOWNLOADS, RAW_VIDEOS)}


def named_sources(
    lake: Lake, question: str, parameters: Mapping[str, object], *, names: Collection[str]
) -> list[dict[str, Any]]:
    """Returns the answer of a statement about sources, their downloads and videos, asked of those with such names.

    question: the statement's name. names: every text among the parameters that may be a name in one of `COLUMNS`.
    """
    source_ids = _with_names(lake, names)
    with lake.connect([]) as connection:
        for table in COLUMNS:
            rows = lake.known(table, sorted(source_ids), TABLES[table].column_names, by="source_id")
            connection.register(table, rows)
        return connection.sql(statement(question), params=dict(parameters)).to_arrow_table().to_pylist()


def _with_names(lake: Lake, names: Collection[str]) -> set[str]:
    """Returns the ids of sources that have, or whose download or video has, one of the names."""
    # A URI's hash is the source's id, and a file's hash begins with the video's.
    asked = sorted({*names, *(digest(name)[:ID_LENGTH] for name in names), *(name[:ID_LENGTH] for name in names)})
    source_ids: set[str] = set()
    for table, columns in COLUMNS.items():
        for column in columns:
            source_ids.update(lake.known(table, asked, ["source_id"], by=column)["source_id"].to_pylist())
    return source_ids
