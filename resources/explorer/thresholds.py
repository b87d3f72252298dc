"""What thresholds on measures would leave of the pool of every subset, counted at once, and the subset's file that they
make.

Counts come from the index of clips, in which values have 7 digits. The file that is saved is counted by the statement
itself, as `internvid subset preview` does.
"""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resources.corpus.subsets import WaterfallRow, connected, read_subset, subsets, waterfall
from resources.explorer.clip_index import Filters, Range
from resources.lake.statements import statement
from resources.lake.temporary_folders import temporary_folder

if TYPE_CHECKING:
    from resources.corpus.subsets import Subset
    from resources.explorer.clip_index import ClipIndex
    from resources.lake.store import Lake

SCORE = "score."  # what measures that are scores begin with
# Measures that the pool has as columns.
COLUMNS = {"seconds": ("seconds", "duration in seconds"), "motion": ("motion", "motion")}
NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
BATCH_ROWS = 100_000

_pools: weakref.WeakKeyDictionary[ClipIndex, np.ndarray] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Thresholds:
    """What a subset keeps. ranges: measure -> lowest, highest, both inclusive; None where there is no such bound.

    unflagged: only clips without a flag. not_judged_wrong: none of which a caption or cut, as it is now, was judged
    wrong or bad, or the clip unsafe.
    """

    ranges: Mapping[str, Range] = field(default_factory=dict)
    unflagged: bool = False
    not_judged_wrong: bool = False

    @property
    def bounded(self) -> dict[str, Range]:
        """The ranges with a bound."""
        return {name: bounds for name, bounds in self.ranges.items() if bounds != (None, None)}


@dataclass(frozen=True)
class Step:
    """A row of the waterfall of thresholds. unknown: of the removed clips, those without the measure."""

    meaning: str
    removed: int
    unknown: int
    left: int


class NotSaved(ValueError):
    """The subset was not saved. The message says why, and what to do."""


def waterfall_of(index: ClipIndex, chosen: Thresholds) -> list[Step]:
    """Returns what each threshold removes, in the order in which the saved subset does. Raises WrongFilter."""
    left = pool_of(index)
    steps = [Step("clips that a subset may have", index.clips - int(left.sum()), 0, int(left.sum()))]
    for measure, bounds in chosen.bounded.items():
        is_known = index.matching(Filters(ranges={measure: (None, None)}))
        is_kept = index.matching(Filters(ranges={measure: bounds}))
        steps.append(_step(in_words(measure, bounds), left, is_kept, is_known))
        left = left & is_kept
    if chosen.unflagged:
        is_kept = unflagged(index)
        steps.append(_step("no flag", left, is_kept, None))
        left = left & is_kept
    if chosen.not_judged_wrong:
        is_kept = np.ones(index.clips, bool)
        is_kept[index.numbers_of(judged_wrong(index.view))] = False
        steps.append(_step("not judged wrong, badly cut or unsafe", left, is_kept, None))
    return steps


def left_by(index: ClipIndex, chosen: Thresholds) -> np.ndarray:
    """Returns [clips] bool: the clips that all thresholds leave. Raises WrongFilter."""
    left = pool_of(index) & index.matching(Filters(ranges=chosen.bounded))
    if chosen.unflagged:
        left &= unflagged(index)
    if chosen.not_judged_wrong:
        left[index.numbers_of(judged_wrong(index.view))] = False
    return left


def as_filters(chosen: Thresholds) -> Filters:
    """Returns the thresholds on measures as filters of clips."""
    return Filters(ranges=chosen.bounded)


def some_of(clips: np.ndarray, count: int) -> np.ndarray:
    """Returns the numbers of some clips, by chance but always the same. clips: [clips] bool."""
    numbers = np.flatnonzero(clips)
    return np.sort(np.random.default_rng(42).choice(numbers, size=min(count, len(numbers)), replace=False))


def pool_of(index: ClipIndex) -> np.ndarray:
    """Returns [clips] bool: the clips that every subset is selected from. It is read once for an index."""
    if index not in _pools:
        mask = np.zeros(index.clips, bool)
        tables = ["clips", "clip_captions", "frames", "attempts"]
        with index.view.connect(tables) as connection:
            relation = connection.sql(f"select clip_id from ({statement('selection/pool')})")
            for batch in relation.to_arrow_reader(BATCH_ROWS):
                mask[index.numbers_of(batch.column(0))] = True
        _pools[index] = mask
    return _pools[index]


def unflagged(index: ClipIndex) -> np.ndarray:
    """Returns [clips] bool: the clips without a flag."""
    (flags,) = (facet for facet in index.counted(Filters())[0] if facet.name == "flag")
    if not any(value == "none" for value, _ in flags.counts):
        return np.zeros(index.clips, bool)
    return index.matching(Filters(words={"flag": ["none"]}))


def judged_wrong(lake: Lake) -> list[str]:
    """Returns the clips of which something was judged wrong, bad or unsafe that is still as it was."""
    return lake.query(statement("judging/judged_wrong"))["clip_id"].to_pylist()


def in_words(measure: str, bounds: Range) -> str:
    """A threshold in words, with its numbers."""
    lowest, highest = bounds
    return _words(measure, None if lowest is None else _number(lowest), None if highest is None else _number(highest))


def _words(measure: str, lowest: str | None, highest: str | None) -> str:
    name = COLUMNS[measure][1] if measure in COLUMNS else measure.removeprefix(SCORE).replace("_", " ")
    if lowest is not None and highest is not None:
        return f"{name} from {lowest} to {highest}"
    return f"{name} at least {lowest}" if lowest is not None else f"{name} at most {highest}"


def _step(meaning: str, left: np.ndarray, is_kept: np.ndarray, is_known: np.ndarray | None) -> Step:
    kept = int((left & is_kept).sum())
    unknown = 0 if is_known is None else int((left & ~is_known).sum())
    return Step(meaning, int(left.sum()) - kept, unknown, kept)


# --- the file -----------------------------------------------------------------------------------------------------


def subset_file(chosen: Thresholds, *, title: str, description: str = "") -> str:
    """Returns the SQL file of a subset that keeps what the thresholds keep: header and statement.

    Raises NotSaved without any threshold, and for a measure whose name cannot stand in SQL.
    """
    bounded = chosen.bounded
    if not (bounded or chosen.unflagged or chosen.not_judged_wrong):
        raise NotSaved("choose a threshold first: the subset `all` has every clip")
    header = ["---", f"title: {_quoted(title)}"]
    header += ["description: >", *(f"  {line}" for line in _wrapped(description))] if description.strip() else []
    parameters, conditions, columns, reasons, joins = [], [], [], [], []
    for measure, (lowest, highest) in bounded.items():
        name = _column(measure)
        value, join = _value(measure, name)
        joins += join
        tests = []
        for bound, operator, prefix in ((lowest, ">=", "min"), (highest, "<=", "max")):
            if bound is not None:
                parameters.append(
                    f"  {prefix}_{name}: {{type: double, default: {_number(bound)}, meaning: "
                    f"{'lowest' if prefix == 'min' else 'highest'} {_words_of(measure)} of a clip}}"
                )
                tests.append(f"{value} {operator} $min_{name}".replace("$min", f"${prefix}"))
        low = None if lowest is None else f"$min_{name}"
        high = None if highest is None else f"$max_{name}"
        conditions.append(f"  {name}_in_range: {_quoted(_words(measure, low, high))}")
        columns.append(f"    {' and '.join(tests)} as {name}_in_range,")
        reasons.append(f"coalesce(format('{_words_of(measure)} {{:.4g}}', {value}), 'no {_words_of(measure)}')")
        columns.append(f"    {value} as {name},")
    if chosen.unflagged:
        conditions.append("  unflagged: it has no flag")
        columns.append("    coalesce(len(pool.flags), 0) = 0 as unflagged,")
        reasons.append("if(coalesce(len(pool.flags), 0) = 0, 'no flag', array_to_string(pool.flags, ', '))")
    if chosen.not_judged_wrong:
        conditions.append("  not_judged_wrong: nobody judged its caption wrong, its cut bad or it unsafe, as it is now")
        columns.append("    judged.clip_id is null as not_judged_wrong,")
        judged = _indented(_statement_alone("judging/judged_wrong"))
        joins.append(f"left join (\n{judged}\n) as judged on pool.clip_id = judged.clip_id")
        reasons.append("if(judged.clip_id is null, 'not judged wrong', 'judged wrong')")
    header += ["parameters:", *parameters] if parameters else []
    header += ["conditions:", *conditions]
    reads = ["clip_scores"] if any(measure.startswith(SCORE) for measure in bounded) else []
    reads += ["judgements"] if chosen.not_judged_wrong else []
    header += [f"reads: [{', '.join(reads)}]"] if reads else []
    lines = [
        *(f"-- {line}" for line in (*header, "---")),
        "select",
        "    pool.clip_id,",
        *columns,
        "    1 as weight,",
        "    concat_ws(",
        "        ', ',",
        *(f"        {reason}," for reason in reasons[:-1]),
        f"        {reasons[-1]}",
        "    ) as reason",
        "from pool",
        *joins,
    ]
    return "\n".join(lines) + "\n"


def save(lake: Lake, folder: str | None, name: str, text: str) -> list[WaterfallRow]:
    """Writes the subset's file into the user's folder of subsets, after its statement has run on the lake.

    Returns what each of its conditions removes. Raises NotSaved.
    """
    if not folder:
        raise NotSaved("there is no folder of your own subsets: name one in INTERNVID_SUBSETS, and start again")
    if not NAME.fullmatch(name):
        raise NotSaved(f"{name[:80]!r} is no name of a subset: small letters, digits and _, a letter first")
    if not os.path.isdir(folder):
        raise NotSaved(f"INTERNVID_SUBSETS names {folder}, which is not a folder: make it")
    try:
        if name in subsets(folder):
            raise NotSaved(f"there is a subset {name} already: give this one another name")
    except ValueError as error:
        raise NotSaved(str(error)) from error
    with temporary_folder() as temporary:
        tried = temporary / f"{name}.sql"
        tried.write_text(text, encoding="utf-8")
        subset = read_subset(tried)
        rows = counted(lake, subset)
    try:
        with Path(folder, f"{name}.sql").open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise NotSaved(f"there is a subset {name} already: give this one another name") from None
    except OSError as error:
        raise NotSaved(f"{folder} cannot be written: {error.strerror}") from error
    return rows


def counted(lake: Lake, subset: Subset) -> list[WaterfallRow]:
    with connected(lake, subset, at=None) as connection:
        return waterfall(connection, subset, examples=0)


def _column(measure: str) -> str:
    """The measure's name in SQL. Raises NotSaved for one that cannot stand there."""
    name = COLUMNS[measure][0] if measure in COLUMNS else measure.removeprefix(SCORE)
    if not NAME.fullmatch(name):
        raise NotSaved(f"the score {name[:80]!r} cannot stand in a subset's file: write the file by hand")
    return f"{name}_score" if measure.startswith(SCORE) and name in ("seconds", "motion") else name


def _value(measure: str, name: str) -> tuple[str, list[str]]:
    """Returns the expression of a measure, and the join that it needs."""
    if measure in COLUMNS:
        return f"nullif(pool.{COLUMNS[measure][0]}, 'nan')", []
    table = f"{name}_of_clip"
    of_score = (
        f"(select clip_id, nullif(value, 'nan') as value from clip_scores where score = '{measure[len(SCORE) :]}')"
    )
    return f"{table}.value", [f"left join {of_score} as {table} on pool.clip_id = {table}.clip_id"]


def _words_of(measure: str) -> str:
    return COLUMNS[measure][1] if measure in COLUMNS else measure.removeprefix(SCORE).replace("_", " ")


def _number(value: float) -> str:
    """The number as SQL, YAML and people read it: 4.5, 10, 0.0001."""
    return f"{value:.12f}".rstrip("0").rstrip(".") if abs(value) < 1e12 else f"{value:.0f}"


def _quoted(text: str) -> str:
    """The text on one line in double quotes, as YAML reads it."""
    line = " ".join(text.split())
    printable = "".join(letter for letter in line if letter.isprintable())
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _wrapped(text: str) -> list[str]:
    import textwrap

    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return textwrap.wrap(line, 110)


def _statement_alone(name: str) -> str:
    """Returns a statement without the comments before it."""
    lines = statement(name).splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))


def _indented(sql: str) -> str:
    return "\n".join(f"    {line}" if line else line for line in sql.splitlines())
