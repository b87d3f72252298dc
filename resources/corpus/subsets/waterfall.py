"""The waterfall of a subset: how many clips each condition removes, in order, with examples."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resources.corpus.subsets.header import Subset, Value, shown
from resources.corpus.subsets.selection import check_rows, fetch_rows, prepare
from resources.lake.statements import statement

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Example:
    """A clip that a condition removed. source: URI of its video. values: the statement's measurements of it."""

    clip_id: str
    source: str | None
    start_seconds: float
    end_seconds: float
    caption: str | None
    reason: str | None
    values: dict[str, Any]


@dataclass(frozen=True)
class WaterfallRow:
    """A row of the waterfall: a condition.

    removed: number of clips that it removes. left: number of clips after it. is_unknown: the row counts clips for which
    the condition is unknown, because a value is missing; the row before counts the clips for which it is false.
    """

    condition: str
    meaning: str
    removed: int
    left: int
    is_unknown: bool
    examples: list[Example]


def waterfall(
    connection: duckdb.DuckDBPyConnection,
    subset: Subset,
    given: Mapping[str, object] | None = None,
    *,
    examples: int = 2,
) -> list[WaterfallRow]:
    """Returns the rows of the waterfall: what each condition removes, in order.

    The first row, `clips`, removes none: its `left` is the number of clips in the lake. Each later `left` is the
    previous `left` less `removed`, and the last is the size of the subset. Each condition of the statement has a row,
    even if it removes nothing, and a second row where it is unknown for some clips.
    examples: upper bound on the examples of a row. Raises as `select_subset` does.
    """
    parts, values = prepare(connection, subset, given, "drawn")
    check_rows(connection, subset, parts, values)
    with_examples = values | {"examples": max(1, examples)}
    outside_pool = fetch_rows(connection, statement("selection/outside_pool"), with_examples)
    judged = fetch_rows(connection, parts.compose(statement("selection/waterfall")), with_examples)

    lacking = {row["lacks"]: row for row in outside_pool}
    removed = {(row["failed"], row["is_unknown"]): row for row in judged if row["failed"] is not None}
    drawn = {row["is_drawn"]: row for row in judged if row["failed"] is None}
    clip_ids = [_clip_id(example) for row in (*outside_pool, *judged) for example in row["examples"]]
    rows = fetch_rows(connection, statement("selection/examples"), {"clip_ids": clip_ids})
    clips = {row["clip_id"]: row for row in rows}

    waterfall_rows: list[WaterfallRow] = []

    def add(condition: str, meaning: str, row: dict[str, Any] | None, *, is_unknown: bool = False) -> None:
        count = row["clips"] if row else 0
        removed_clips = row["examples"][:examples] if row else []
        shown_clips = [_example(clips[_clip_id(example)], example) for example in removed_clips]
        waterfall_rows.append(
            WaterfallRow(condition, meaning, count, waterfall_rows[-1].left - count, is_unknown, shown_clips)
        )

    total = sum(row["clips"] for row in (*outside_pool, *judged))
    waterfall_rows.append(WaterfallRow("clips", "every clip of the lake", 0, total, False, []))
    for lacks, meaning in (("no caption", "has a caption"), ("no frame", "has a frame")):
        add(meaning, f"the pool of every subset: a clip that {meaning}", lacking.get(lacks))
    not_returned = [row for (failed, _), row in removed.items() if failed == 0]
    if not_returned:
        add("returned", "the statement returns a row for it", not_returned[0])
    for position, condition in enumerate(parts.conditions, start=1):
        meaning = _filled(subset.conditions.get(condition, ""), values)
        add(condition, meaning, removed.get((position, False)))
        if (position, True) in removed:
            unknown = "unknown: a value that it compares is missing"
            add(condition, unknown, removed[position, True], is_unknown=True)
    if values["clips"] is not None:
        add("drawn", f"among the {values['clips']:,} that are drawn", drawn.get(False))
    return waterfall_rows


def _clip_id(example: str | dict[str, Any]) -> str:
    """Returns the id. example: the id of a clip outside the pool, or the row of a clip with reason and measurements."""
    return example if isinstance(example, str) else example["clip_id"]


def _example(clip: dict[str, Any], example: str | dict[str, Any]) -> Example:
    if isinstance(example, str):
        return Example(**clip, reason=None, values={})
    return Example(**clip, reason=example["reason"], values=example["measured"] or {})


def _filled(meaning: str, values: Mapping[str, Value]) -> str:
    """Returns a condition's meaning with the values of the parameters that it names."""
    return re.sub(r"\$(\w+)", lambda match: shown(values[match[1]]) if match[1] in values else match[0], meaning)
