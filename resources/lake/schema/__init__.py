"""Every table of the lake: what one row is, and each column with its meaning and unit.

Only declarations belong here, one module a group of tables. Reading and writing is `resources.lake.store`; what fills a
table is the module of that name in `assets/`. `docs/tables.md` is rendered from here (`internvid docs`).
"""

from __future__ import annotations

from resources.lake.schema.bookkeeping import ATTEMPTS, BATCH_STATES, COSTS
from resources.lake.schema.captions import CLIP_CAPTIONS, CLIP_THINGS, FRAME_CAPTIONS
from resources.lake.schema.corpus import (
    COMPARISONS,
    COPY_KEYS,
    CORPUS_SNAPSHOT,
    DUPLICATES,
    EXPORTS,
    REMOVED_SNAPSHOTS,
    SNAPSHOT_CHANGES,
)
from resources.lake.schema.dialogue import CHAT_ANSWERS, CHAT_CHECKPOINTS, DIALOGUES, INTERLEAVED
from resources.lake.schema.generation import GENERATED_VIDEOS, GENERATION_CHECKPOINTS
from resources.lake.schema.ingest import (
    ANNOTATIONS,
    DOWNLOADS,
    FEED_POLLS,
    FEEDS,
    RAW_VIDEOS,
    SOURCE_CHECKS,
    SOURCES,
    TOMBSTONES,
)
from resources.lake.schema.judging import JUDGEMENTS, REVIEW_SAMPLES
from resources.lake.schema.model import CHECKPOINTS, EVALUATIONS, SUBSET_SNAPSHOTS, SUBSETS
from resources.lake.schema.speech import SPEECH, TRANSCRIPTS
from resources.lake.schema.table import (
    BATCH,
    MADE_BY,
    OF_THE_RUN,
    REVISION,
    TEXT,
    TEXTS,
    TIME,
    VECTOR,
    VECTOR_SIZE,
    Column,
    Table,
    key,
    reference,
)
from resources.lake.schema.vectors import ACTIVE_CHECKPOINT, CAPTION_EMBEDDINGS, CLIP_EMBEDDINGS, CLIP_SCORES
from resources.lake.schema.video import CLIPS, FINGERPRINTS, FRAMES, UNIT_OF_VIDEO

__all__ = [
    "ACTIVE_CHECKPOINT",
    "ANNOTATIONS",
    "ATTEMPTS",
    "BATCH",
    "BATCH_STATES",
    "CAPTION_EMBEDDINGS",
    "CHAT_ANSWERS",
    "CHAT_CHECKPOINTS",
    "CHECKPOINTS",
    "CLIPS",
    "CLIP_CAPTIONS",
    "CLIP_EMBEDDINGS",
    "CLIP_SCORES",
    "CLIP_THINGS",
    "COMPARISONS",
    "COPY_KEYS",
    "CORPUS_SNAPSHOT",
    "COSTS",
    "DIALOGUES",
    "DOWNLOADS",
    "DUPLICATES",
    "EVALUATIONS",
    "EXPORTS",
    "FEEDS",
    "FEED_POLLS",
    "FINGERPRINTS",
    "FRAMES",
    "FRAME_CAPTIONS",
    "GENERATED_VIDEOS",
    "GENERATION_CHECKPOINTS",
    "INTERLEAVED",
    "JUDGEMENTS",
    "MADE_BY",
    "OF_THE_RUN",
    "RAW_VIDEOS",
    "REMOVED_SNAPSHOTS",
    "REVIEW_SAMPLES",
    "REVISION",
    "SNAPSHOT_CHANGES",
    "SOURCES",
    "SOURCE_CHECKS",
    "SPEECH",
    "SUBSETS",
    "SUBSET_SNAPSHOTS",
    "TABLES",
    "TEXT",
    "TEXTS",
    "TIME",
    "TOMBSTONES",
    "TRANSCRIPTS",
    "UNIT_OF_VIDEO",
    "VECTOR",
    "VECTOR_SIZE",
    "Column",
    "Table",
    "declare",
    "key",
    "pinned_tables",
    "reference",
    "render_markdown",
]

# By name, in the order in which data flows. `declare` adds to it.
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        SOURCES,
        FEEDS,
        FEED_POLLS,
        SOURCE_CHECKS,
        DOWNLOADS,
        ANNOTATIONS,
        RAW_VIDEOS,
        FINGERPRINTS,
        DUPLICATES,
        COMPARISONS,
        COPY_KEYS,
        EXPORTS,
        TOMBSTONES,
        CLIPS,
        FRAMES,
        CLIP_THINGS,
        FRAME_CAPTIONS,
        CLIP_CAPTIONS,
        CLIP_EMBEDDINGS,
        CAPTION_EMBEDDINGS,
        CLIP_SCORES,
        SPEECH,
        TRANSCRIPTS,
        DIALOGUES,
        REVIEW_SAMPLES,
        JUDGEMENTS,
        ACTIVE_CHECKPOINT,
        CORPUS_SNAPSHOT,
        REMOVED_SNAPSHOTS,
        SNAPSHOT_CHANGES,
        SUBSETS,
        SUBSET_SNAPSHOTS,
        INTERLEAVED,
        CHECKPOINTS,
        EVALUATIONS,
        CHAT_CHECKPOINTS,
        CHAT_ANSWERS,
        GENERATION_CHECKPOINTS,
        GENERATED_VIDEOS,
        ATTEMPTS,
        BATCH_STATES,
        COSTS,
    )
}


def declare(table: Table) -> Table:
    """Adds a table of your own to TABLES, and returns it. Every process that opens the lake must declare it.

    The same declaration may be made again. Raises ValueError for a name that another declaration has.
    """
    registered = TABLES.setdefault(table.name, table)
    if registered != table:
        raise ValueError(f"the lake has another table {table.name!r} ({registered.row_is}): choose another name")
    return registered


def pinned_tables() -> tuple[Table, ...]:
    """The tables that a snapshot pins, those that were declared included, in the order of TABLES."""
    return tuple(table for table in TABLES.values() if table.pinned)


def render_markdown() -> str:
    """The page `docs/tables.md`: every table, every column, its type, meaning and origin."""
    lines = ["# Tables of the lake", "", "Rendered from `resources/lake/schema/` by `internvid docs`.", ""]
    for table in TABLES.values():
        lines += [f"## {table.name}", "", f"One row is {table.row_is}. Key: `{table.key}`.", ""]
        lines += ["| column | type | meaning | derived from |", "|---|---|---|---|"]
        for column in table.columns:
            origin = ", ".join(f"`{name}`" for name in column.derived_from)
            lines.append(f"| `{column.name}` | {column.type} | {column.meaning} | {origin} |")
        lines.append("")
    return "\n".join(lines)
