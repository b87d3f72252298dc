"""The content of a table in one digest. It costs what has changed since an earlier digest, however large the table is.

The digest of a set of rows is the exclusive or of their hashes, so rows that went and rows that came are folded into
an earlier one. Both lie in the fragments of which the two versions have not the same; what compaction merely moved goes
and comes, and cancels out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources.lake.schema import Table
from resources.lake.statements import statement

if TYPE_CHECKING:
    import lance

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
    if since is None or (earlier := _at(lake, table, since.version)) is None:
        return Content(dataset.version, *_digest(lake, dataset, table, dataset.get_fragments()))
    if dataset.version == since.version:
        return since
    gone, new = _not_in_both(earlier, dataset)
    rows_gone, digest_gone = _digest(lake, earlier, table, gone)
    rows_new, digest_new = _digest(lake, dataset, table, new)
    digest = int(since.digest) ^ int(digest_gone) ^ int(digest_new)
    return Content(dataset.version, since.row_count - rows_gone + rows_new, str(digest))


def _at(lake: Lake, table: Table, version: int) -> lance.LanceDataset | None:
    """Returns the table at the version; None where that was removed."""
    try:
        return lake.dataset(table.name, version)
    except ValueError as error:
        if "not found" not in str(error).lower():
            raise
        return None


def _not_in_both(
    earlier: lance.LanceDataset, later: lance.LanceDataset
) -> tuple[list[lance.LanceFragment], list[lance.LanceFragment]]:
    """Returns the fragments of the earlier version alone, and of the later alone: by files, and by deleted rows."""
    before, after = (
        {json.dumps(fragment.metadata.to_json(), sort_keys=True): fragment for fragment in dataset.get_fragments()}
        for dataset in (earlier, later)
    )
    gone = [fragment for identity, fragment in before.items() if identity not in after]
    return gone, [fragment for identity, fragment in after.items() if identity not in before]


def _digest(
    lake: Lake, dataset: lance.LanceDataset, table: Table, fragments: Sequence[lance.LanceFragment]
) -> tuple[int, str]:
    """Returns the number of rows in the fragments, and their digest."""
    if not fragments:
        return 0, "0"
    named = set(re.findall(r"\w+", table.depends_on)) | {table.key}
    columns = [name for name in table.column_names if name in named]
    rows = dataset.scanner(columns=columns, fragments=list(fragments)).to_reader()
    with lake.connect([]) as connection:
        connection.register("fragments", rows)
        # Names of columns cannot be bound; these come from resources.lake.schema, never from data.
        connection.execute(
            f"create temp view rows as select {table.key} as key, {table.depends_on} as provenance from fragments"
        )
        row_count, digest = connection.sql(statement("corpus/table_digest")).fetchall()[0]
    return row_count, digest
