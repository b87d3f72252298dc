"""Makes rows of many clips by SQL, and appends them to a lake's tables without the search for keys of an upsert.

No stage stands behind these rows, so the state of a lake is not to be asked of it: they are for what reads tables.
"""

from __future__ import annotations

from collections.abc import Mapping

from resources.lake.schema import TABLES
from resources.lake.store import Lake

CLIPS_PER_VIDEO, VIDEOS_PER_WRITE = 20, 50_000

# The videos from number $first to before $end, in batches of a thousand; and their clips.
VIDEO = "select number as video, '2026-01-' || lpad((1 + number // 1000 % 28)::varchar, 2, '0') || '-' || "
VIDEO += "lpad((number // 28000)::varchar, 4, '0') as ingest_batch from range($first, $end) as numbers (number)"
CLIP = f"select *, video * {CLIPS_PER_VIDEO} + place as clip from ({VIDEO}), range({CLIPS_PER_VIDEO}) as p (place)"


def append(lake: Lake, rows: Mapping[str, str], first: int, end: int) -> None:
    """Appends the rows of the videos from number `first` to before `end`.

    rows: table -> statement that makes some of its columns, with $first and $end; the others are null.
    """
    import duckdb
    import lance

    with duckdb.connect() as connection:
        for start in range(first, end, VIDEOS_PER_WRITE):
            for name, sql in rows.items():
                schema = TABLES[name].arrow
                made = connection.sql(sql, params={"first": start, "end": min(end, start + VIDEOS_PER_WRITE)})
                connection.register("made", made.to_arrow_table())
                missing = ", ".join(f'null as "{column}"' for column in schema.names if column not in made.columns)
                full = connection.sql(f"select *, {missing} from made").to_arrow_table().select(schema.names)
                lance.write_dataset(full.cast(schema), lake.uri(name), mode="append")
