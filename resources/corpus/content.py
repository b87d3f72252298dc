"""The content of a table in one digest. It costs what has changed since an earlier digest, however large the table is.

The digest of a set of rows is the exclusive or of their hashes, so rows that went and rows that came are folded into
an earlier one. Both lie in the fragments that `resources.lake.changes` names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources.lake.changes import Fragments, changes, whole
from resources.lake.schema import Table
from resources.lake.statements import statement

if TYPE_CHECKING:
    from resources.lake.store import Lake


@dataclass(frozen=True)
class Content:
    """The content of a table at a Lance version.

    row_count: number of rows. digest: hash of their keys and of what tells a row from another state of it, a number.
    """

    version: int
    row_count: int
    digest: str


def content(lake: Lake, table: Table, since: Content | None = None) -> Content:
    """Returns the content of the table as it is now. since: its content at an earlier version, from which to reckon."""
    dataset = lake.dataset(table.name)
    if since is not None and since.version == dataset.version:
        return since
    differing = None if since is None else changes(lake, table, since.version, dataset)
    if since is None or differing is None:
        return Content(dataset.version, *_digest(lake, table, whole(dataset)))
    gone, new = differing
    rows_gone, digest_gone = _digest(lake, table, gone)
    rows_new, digest_new = _digest(lake, table, new)
    digest = int(since.digest) ^ int(digest_gone) ^ int(digest_new)
    return Content(dataset.version, since.row_count - rows_gone + rows_new, str(digest))


def _digest(lake: Lake, table: Table, fragments: Fragments) -> tuple[int, str]:
    """Returns the number of rows in the fragments, and their digest."""
    named = set(re.findall(r"\w+", table.depends_on)) | {table.key}
    rows = fragments.rows([name for name in table.column_names if name in named])
    if rows is None:
        return 0, "0"
    with lake.connect([]) as connection:
        connection.register("fragments", rows)
        # Names of columns cannot be bound; these come from resources.lake.schema, never from data.
        connection.execute(
            f"create temp view rows as select {table.key} as key, {table.depends_on} as provenance from fragments"
        )
        row_count, digest = connection.sql(statement("corpus/table_digest")).fetchall()[0]
    return row_count, digest
