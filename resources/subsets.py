"""Subsets: SQL files that say which clips belong to a named part of the corpus, and why each does.

A subset is one file of `sql/subsets/`, or a user's own: any `.sql` file in the folder that the environment variable
INTERNVID_SUBSETS names. The same file serves the choice of the clips (`select_subset`) and the account of what each
condition removes (`waterfall`). Writing the rows down, and when, is the asset's.

A file begins with a header of comment lines:

    -- Clips with dogs                                                             the title, required, first
    -- Any other line describes the subset.
    -- @parameter threshold double 0.3 (0 to 1): score that a clip must reach       name, type, default, bounds, meaning
    -- @parameter word text dog: what the caption must hold
    -- @condition similar_enough: $score is at least $threshold                    a condition in words
    -- @reads clip_scores                                                          tables beside the pool's own

Types are bigint, double, text and boolean. Bounds are optional and inclusive. A default of `null` means that the
parameter may be left unset; no other parameter may. The statement refers to parameters as $threshold: they are bound,
never pasted. Every subset has COMMON_PARAMETERS too: how many clips are drawn, with which seed, and how videos are
split into train, validation and test; a header may declare one of these again to give it another default.

After the header stands one SELECT, in DuckDB's SQL. It reads `pool` (every clip that has a caption and a frame: the
columns of `clips`, and seconds, caption, word_count, nouns, verbs) and the tables that the header names, and returns at
most one row a clip, with these columns in any order:

    clip_id     the clip
    weight      its weight in a draw without replacement, above 0
    reason      in words, why it is in or out
    every boolean column is a condition, in the order in which they are evaluated: true keeps the clip, false removes
                it, and null says that it cannot be told, a score being missing for instance, and removes it too
    every other column is a measurement, shown beside examples

Clips of the pool that the statement does not return, because of a WHERE for instance, are counted as well.

The draw: each clip gets u in (0, 1) from the first 13 hex digits of md5("draw/<seed>/<clip_id>"), and those with the
smallest -ln(u) / weight are drawn (Efraimidis and Spirakis 2006): the distribution of drawing one after the other with
chances proportional to weight. It depends on no order of rows, number of threads or version of DuckDB; and with one
seed a smaller draw is part of a larger one.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from resources.refresh import digest
from resources.schema import TABLES
from resources.statements import statement, statements_in

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

OWN_SUBSETS = "INTERNVID_SUBSETS"  # environment variable: a folder of the user's own files
POOL_TABLES = (
    "clips",
    "clip_captions",
    "frames",
    "raw_videos",
    "attempts",
)  # the pool's, and what an example is told by
REQUIRED_COLUMNS = ("clip_id", "weight", "reason")
NOT_MEASURED = {*REQUIRED_COLUMNS, "video_id"}
SPLITS = ("train", "validation", "test")
ROWS_PER_BATCH = 65_536  # of the reader; some 10 MB

TYPES: dict[str, type] = {"bigint": int, "double": float, "text": str, "boolean": bool}

Value = int | float | str | bool | None


@dataclass(frozen=True)
class Parameter:
    """type: a key of TYPES. default None: it may be unset. lowest, highest: inclusive bounds of a number."""

    name: str
    type: str
    default: Value
    meaning: str
    lowest: float = -math.inf
    highest: float = math.inf

    def checked(self, value: object) -> Value:
        """The value as this parameter's type. Raises ValueError that names the parameter and what it takes."""
        if value is None and self.default is None:
            return None
        if self.type == "double" and type(value) is int:
            value = float(value)
        # The bounds are asked for in this way so that NaN is refused too.
        is_outside = isinstance(value, int | float) and not self.lowest <= value <= self.highest
        if type(value) is not TYPES[self.type] or is_outside:
            raise ValueError(f"{self.name} takes {self.takes}, not {value!r}")
        return cast(Value, value)

    def parsed(self, text: str) -> Value:
        """A value written as text, as in a header or on the command line. Raises ValueError as `checked` does."""
        if text == "null":
            return self.checked(None)
        try:
            match self.type:
                case "bigint":
                    return self.checked(int(text.replace("_", "").replace(",", "")))
                case "double":
                    return self.checked(float(text))
                case "boolean":
                    return self.checked({"true": True, "false": False}[text.lower()])
                case _:
                    return self.checked(text)
        except (ValueError, KeyError) as error:
            raise ValueError(f"{self.name} takes {self.takes}, not {text!r}") from error

    @property
    def takes(self) -> str:
        """What values it takes, in words."""
        words = {"bigint": "a whole number", "double": "a number", "text": "text", "boolean": "true or false"}[
            self.type
        ]
        if math.isfinite(self.lowest) and math.isfinite(self.highest):
            words += f" from {self.lowest:g} to {self.highest:g}"
        elif math.isfinite(self.lowest):
            words += f" of at least {self.lowest:g}"
        elif math.isfinite(self.highest):
            words += f" of at most {self.highest:g}"
        return words + (" or null" if self.default is None else "")


COMMON_PARAMETERS = (
    Parameter("clips", "bigint", None, "how many clips are drawn; null: all that the conditions leave", lowest=0),
    Parameter("seed", "bigint", 42, "of the draw"),
    Parameter("validation_share", "double", 0.1, "of the pool's videos that are for validation", 0, 1),
    Parameter("test_share", "double", 0.1, "of the pool's videos that are for testing", 0, 1),
    Parameter("split_seed", "bigint", 42, "of the split; with the same one a video is on one side in every subset"),
)


@dataclass(frozen=True)
class Subset:
    """A subset as its file declares it.

    parameters: by name, the common ones last. conditions: what the header says of them, by name; it need not name all.
    reads: tables beside POOL_TABLES. statement: the file's text.
    """

    name: str
    path: Path
    title: str
    description: str
    parameters: dict[str, Parameter]
    conditions: dict[str, str]
    reads: tuple[str, ...]
    statement: str = field(repr=False)

    @property
    def tables(self) -> list[str]:
        """The tables that a connection must have for this subset."""
        return list(dict.fromkeys((*POOL_TABLES, *self.reads)))

    def values(self, given: Mapping[str, object] | None = None) -> dict[str, Value]:
        """A value for every parameter, given or default.

        Raises ValueError for an unknown parameter, a value of a wrong type or out of bounds, and shares of a split
        that make more than one.
        """
        given = given or {}
        for name in given:
            self._known(name)
        values = {
            name: parameter.checked(given.get(name, parameter.default)) for name, parameter in self.parameters.items()
        }
        validation, test = float(values["validation_share"] or 0), float(values["test_share"] or 0)
        if validation + test > 1 + 1e-9:
            raise ValueError(f"validation_share and test_share make {validation + test:g} of all videos, more than 1")
        return values

    def parsed(self, settings: Iterable[str]) -> dict[str, Value]:
        """Settings as written on the command line, name=value. Raises ValueError as `values` does."""
        given: dict[str, Value] = {}
        for setting in settings:
            name, equals, text = setting.partition("=")
            if not equals:
                raise ValueError(f"{setting!r} is no setting: write NAME=VALUE")
            given[name] = self._known(name).parsed(text)
        return given

    def version(self, given: Mapping[str, object] | None = None) -> str:
        """What decides the choice, readable: name, values other than the default, and a hash of SQL and all values."""
        values = self.values(given)
        changed = [f"{name}={shown(value)}" for name, value in values.items() if value != self.parameters[name].default]
        sql = {
            name: statement(f"operations/subset_{name}") for name in ("pool", "judged", "drawn", "split", "selection")
        }
        return "+".join((self.name, *changed, digest(_without_comments(self.statement), sql, values)[:8]))

    def _known(self, name: str) -> Parameter:
        if name not in self.parameters:
            raise ValueError(f"{self.name} has no parameter {name!r}; it has {', '.join(self.parameters)}")
        return self.parameters[name]


@dataclass(frozen=True)
class Example:
    """A clip that a step removed. source: URI of its video. values: what the subset's statement measured on it."""

    clip_id: str
    source: str | None
    start_seconds: float
    end_seconds: float
    caption: str | None
    reason: str | None
    values: dict[str, Any]


@dataclass(frozen=True)
class WaterfallStep:
    """One condition. removed, left: clips that it took away, and that were there after it.

    is_unknown: it took them because what it looks at is missing; the clips that it judged are the step before.
    """

    condition: str
    meaning: str
    removed: int
    left: int
    is_unknown: bool
    examples: list[Example]


def subsets() -> dict[str, Subset]:
    """Every subset by name: those of sql/subsets, and the user's own. Reads small files, imports nothing heavy.

    Raises ValueError for a header that cannot be read, a name that is taken, and a folder that is not there.
    """
    found = {file.stem: read_subset(file) for file in statements_in("subsets")}
    folder = os.environ.get(OWN_SUBSETS)
    if folder:
        if not Path(folder).is_dir():
            raise ValueError(f"{OWN_SUBSETS} names {folder}, which is no folder")
        for file in sorted(Path(folder).glob("*.sql")):
            if file.stem in found:
                raise ValueError(f"{file}: there is a subset {file.stem} already; name the file otherwise")
            found[file.stem] = read_subset(file)
    return found


def subset_named(name: str) -> Subset:
    """Raises ValueError that lists the subsets there are."""
    known = subsets()
    if name not in known:
        raise ValueError(f"there is no subset {name!r}; there are {', '.join(known)}")
    return known[name]


_PARAMETER = re.compile(
    r"(?P<name>[a-z][a-z0-9_]*) (?P<type>\w+) (?P<default>\S+)"
    r"(?: \((?P<lowest>\S+) to (?P<highest>\S+)\))?: (?P<meaning>.+)"
)


def read_subset(file: Path) -> Subset:
    """The subset that a file declares; its statement is looked at when it is used.

    Raises ValueError that names the file, the line, and what to write there.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", file.stem):
        raise ValueError(f"{file}: a subset is named by its file: small letters, digits and _, a letter first")
    text = file.read_text(encoding="utf-8")
    first, *header = _header(text) or [""]
    if not first or first.startswith("@"):
        raise ValueError(f"{file}: the first line must be the subset's title, as a comment: -- Clips with dogs")
    declared: dict[str, Parameter] = {}
    conditions: dict[str, str] = {}
    reads: list[str] = []
    description: list[str] = []
    for line in header:
        kind, _, rest = line.partition(" ")
        try:
            match kind:
                case "@parameter":
                    parameter = _parameter(rest)
                    declared[parameter.name] = parameter
                case "@condition":
                    name, _, meaning = rest.partition(": ")
                    conditions[name] = meaning
                case "@reads":
                    reads += _tables(rest)
                case _ if kind.startswith("@"):
                    raise ValueError("a header declares @parameter, @condition and @reads")
                case _:
                    description.append(line)
        except ValueError as error:
            raise ValueError(f"{file}: in the line `-- {line}`: {error}") from error
    for common in COMMON_PARAMETERS:
        declared[common.name] = _as_common(declared.pop(common.name, common), common, file)
    return Subset(
        name=file.stem,
        path=file,
        title=first,
        description=" ".join(line for line in description if line),
        parameters=declared,
        conditions=conditions,
        reads=tuple(reads),
        statement=text,
    )


def select_subset(
    connection: duckdb.DuckDBPyConnection, subset: Subset, given: Mapping[str, object] | None = None
) -> pa.RecordBatchReader:
    """The rows of a subset: clip_id, video_id, split, weight, reason; one a clip, in order of clip_id.

    connection: of `Lake.connect(subset.tables, at=…, untrusted=True)`; a subset's SQL is code, and needs no files. It
    is busy until the reader is read to its end or closed.
    given: values of parameters; those not given have their defaults.
    Raises ValueError as `Subset.values` does, and for a statement that cannot be used; duckdb.Error where it fails.
    """
    statements, values = _prepared(connection, subset, given, "drawn", "split")
    _check(connection, subset, statements, values)
    sql = _composed(statements, statement("operations/subset_selection"))
    return _relation(connection, sql, values).to_arrow_reader(ROWS_PER_BATCH)


def split_sizes(
    connection: duckdb.DuckDBPyConnection, subset: Subset, given: Mapping[str, object] | None = None
) -> dict[str, dict[str, int]]:
    """Clips and videos of the subset on each side: {"train": {"clips": 80, "videos": 8}, …}. Raises as above."""
    statements, values = _prepared(connection, subset, given, "drawn", "split")
    sql = _composed(statements, statement("operations/subset_split_sizes"))
    found = {row["split"]: row for row in _rows(connection, sql, values)}
    return {
        split: {name: found[split][name] if split in found else 0 for name in ("clips", "videos")} for split in SPLITS
    }


def waterfall(
    connection: duckdb.DuckDBPyConnection,
    subset: Subset,
    given: Mapping[str, object] | None = None,
    *,
    examples: int = 2,
) -> list[WaterfallStep]:
    """How the clips of the lake become the subset: what each condition takes away, in order, with examples.

    The first step, `clips`, removes none: its `left` is every clip of the lake. Each later `left` is the one before
    less `removed`, and the last is the size of the subset. A condition of the statement has a step even if it removes
    nothing, and a second one where it could not be told for some clips. Raises as `select_subset` does.
    """
    statements, values = _prepared(connection, subset, given, "drawn")
    _check(connection, subset, statements, values)
    sql = _composed(statements, statement("operations/subset_waterfall"))
    outside = _rows(connection, statement("operations/subset_outside_pool"), {"examples": max(1, examples)})
    judged = _rows(connection, sql, values | {"examples": max(1, examples)})

    lacking = {row["lacks"]: row for row in outside}
    removed = {(row["failed"], row["is_unknown"]): row for row in judged if row["failed"] is not None}
    drawn = {row["is_drawn"]: row for row in judged if row["failed"] is None}
    told = _told(connection, [_id_of(found) for row in (*outside, *judged) for found in row["examples"]])

    steps: list[WaterfallStep] = []

    def add(condition: str, meaning: str, row: dict[str, Any] | None, *, is_unknown: bool = False) -> None:
        found = row["examples"][:examples] if row else []
        count = row["clips"] if row else 0
        shown = [_example(told[_id_of(one)], one) for one in found]
        steps.append(WaterfallStep(condition, meaning, count, steps[-1].left - count, is_unknown, shown))

    total = sum(row["clips"] for row in (*outside, *judged))
    steps.append(WaterfallStep("clips", "every clip of the lake", 0, total, False, []))
    for lacks, meaning in (("no caption", "has a caption"), ("no frame", "has a frame")):
        add(meaning, f"the pool of every subset: a clip that {meaning}", lacking.get(lacks))
    left_out = [row for (failed, _), row in removed.items() if failed == 0]
    if left_out:
        add("returned", "the statement returns a row for it", left_out[0])
    for position, condition in enumerate(statements.conditions, start=1):
        meaning = _filled(subset.conditions.get(condition, ""), subset.values(given))
        add(condition, meaning, removed.get((position, False)))
        if (position, True) in removed:
            unknown = "it cannot be told: what it looks at is missing"
            add(condition, unknown, removed[position, True], is_unknown=True)
    if values["clips"] is not None:
        add("drawn", f"among the {values['clips']:,} that are drawn", drawn.get(False))
    return steps


@dataclass(frozen=True)
class _Statements:
    """conditions: the statement's boolean columns, in order. parts: common table expressions, in order."""

    conditions: list[str]
    parts: dict[str, str]


def _prepared(
    connection: duckdb.DuckDBPyConnection, subset: Subset, given: Mapping[str, object] | None, *parts: str
) -> tuple[_Statements, dict[str, Value]]:
    """The subset's statement, brought into one form whatever its columns are, and what the parts make of it."""
    import duckdb

    values = subset.values(given)
    try:
        query = _one_select(connection, subset)
        pool = {"pool": statement("operations/subset_pool")}
        described = _relation(connection, _composed(_Statements([], pool), f"select * from (\n{query}\n)"), values)
    except duckdb.Error as error:
        raise ValueError(f"{subset.path}: {error}") from error
    columns = {name: str(type) for name, type in zip(described.columns, described.types, strict=True)}
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        raise ValueError(
            f"{subset.path}: the statement returns no column {' and no '.join(missing)}; "
            f"it must return {', '.join(REQUIRED_COLUMNS)} (see resources/subsets.py)"
        )
    conditions = [name for name, type in columns.items() if type == "BOOLEAN" and name not in NOT_MEASURED]
    unknown = [name for name in subset.conditions if name not in conditions]
    if unknown:
        raise ValueError(
            f"{subset.path}: the header declares the condition {', '.join(unknown)}, and the statement returns no "
            f"boolean column of that name"
        )
    measured = [name for name in columns if name not in NOT_MEASURED and name not in conditions]
    normal = {
        "pool": pool["pool"],
        "candidate": _in_one_form(query, conditions, measured),
        "judged": statement("operations/subset_judged"),
    }
    more = {part: statement(f"operations/subset_{part}") for part in parts}
    return _Statements(conditions, normal | more), values


def _one_select(connection: duckdb.DuckDBPyConnection, subset: Subset) -> str:
    """The file's statement, without the semicolon that may end it, and known to use declared parameters only."""
    import duckdb

    found = connection.extract_statements(subset.statement)
    if len(found) != 1 or found[0].type != duckdb.StatementType.SELECT:
        raise ValueError(
            f"{subset.path}: a subset is one SELECT; this file holds {len(found)} statements or another kind"
        )
    undeclared = sorted(found[0].named_parameters - set(subset.parameters))
    if undeclared:
        raise ValueError(
            f"{subset.path}: the statement uses ${undeclared[0]}, which no line declares: "
            f"-- @parameter {undeclared[0]} TYPE DEFAULT: MEANING"
        )
    return found[0].query.strip().removesuffix(";")


def _in_one_form(query: str, conditions: Sequence[str], measured: Sequence[str]) -> str:
    """The statement with its conditions in a list and its measurements in a struct, so that SQL files can read it.

    Names of columns cannot be bound: these are the statement's own, quoted.
    """
    listed = ", ".join(_identifier(name) for name in conditions)
    packed = ", ".join(f"{_identifier(name)} := {_identifier(name)}" for name in measured)
    return (
        f"select clip_id::varchar as clip_id, weight::double as weight, reason::varchar as reason,\n"
        f"[{listed}]::boolean[] as conditions,\n"
        f"{f'struct_pack({packed})' if measured else 'null'} as measured\n"
        f"from (\n{query}\n)"
    )


def _check(
    connection: duckdb.DuckDBPyConnection, subset: Subset, statements: _Statements, values: Mapping[str, Value]
) -> None:
    """Raises ValueError for rows that no subset can be made from."""
    (found,) = _rows(connection, _composed(statements, statement("operations/subset_check")), values)
    if found["without_id"]:
        raise ValueError(f"{subset.path}: the statement returns a row whose clip_id is null")
    if found["twice"] is not None:
        raise ValueError(
            f"{subset.path}: the statement returns the clip {found['twice']} twice; a join may find several rows for a "
            f"clip, as of clip_scores where its column score is not compared"
        )
    if found["ill_weighted"] is not None:
        raise ValueError(
            f"{subset.path}: the weight of a clip that is kept must be finite and above 0; "
            f"that of {found['ill_weighted']} is not"
        )


def _composed(statements: _Statements, query: str) -> str:
    """One statement in which `query` may read each part, and each part those before it, by name."""
    parts = ", ".join(f"{name} as (\n{part}\n)" for name, part in statements.parts.items())
    return f"with {parts}\n{query}"


def _relation(connection: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, object]) -> duckdb.DuckDBPyRelation:
    """The statement with its parameters bound; it runs when its rows are asked for."""
    (prepared,) = connection.extract_statements(sql)
    return connection.sql(sql, params={name: values[name] for name in prepared.named_parameters})


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, object]) -> list[dict[str, Any]]:
    return _relation(connection, sql, values).to_arrow_table().to_pylist()


def _told(connection: duckdb.DuckDBPyConnection, clip_ids: list[str]) -> dict[str, dict[str, Any]]:
    rows = _rows(connection, statement("operations/subset_examples"), {"clip_ids": clip_ids})
    return {row["clip_id"]: row for row in rows}


def _id_of(found: str | dict[str, Any]) -> str:
    return found if isinstance(found, str) else found["clip_id"]


def _example(told: dict[str, Any], found: str | dict[str, Any]) -> Example:
    """found: a clip_id, or a row of the waterfall's examples."""
    judged = {"reason": None, "measured": None} if isinstance(found, str) else found
    return Example(**told, reason=judged["reason"], values=judged["measured"] or {})


def _header(text: str) -> list[str]:
    """The comment lines at the top, without their dashes."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return lines


def _parameter(text: str) -> Parameter:
    match = _PARAMETER.fullmatch(text)
    if match is None:
        raise ValueError("write -- @parameter NAME TYPE DEFAULT: MEANING, or DEFAULT (LOWEST to HIGHEST): MEANING")
    if match["type"] not in TYPES:
        raise ValueError(f"the type {match['type']} is not one of {', '.join(TYPES)}")
    bounds = (float(match["lowest"] or "-inf"), float(match["highest"] or "inf"))
    if match["lowest"] and match["type"] not in ("bigint", "double"):
        raise ValueError("only numbers have bounds")
    unset = Parameter(match["name"], match["type"], None, match["meaning"], *bounds)
    return Parameter(match["name"], match["type"], unset.parsed(match["default"]), match["meaning"], *bounds)


def _as_common(parameter: Parameter, common: Parameter, file: Path) -> Parameter:
    """A common parameter as a header declares it again: with another default and meaning, within the same bounds."""
    if parameter.type != common.type or (parameter.default is None and common.default is not None):
        raise ValueError(
            f"{file}: every subset has a parameter {common.name}; declared again it must be a {common.type}"
            + ("" if common.default is None else " with a default that is not null")
        )
    lowest, highest = max(parameter.lowest, common.lowest), min(parameter.highest, common.highest)
    return replace(parameter, lowest=lowest, highest=highest)


def _tables(text: str) -> list[str]:
    names = re.split(r"[,\s]+", text.strip())
    for name in names:
        if name not in TABLES:
            raise ValueError(f"there is no table {name!r}; there are {', '.join(TABLES)}")
    return names


def _filled(meaning: str, values: Mapping[str, Value]) -> str:
    """A condition in words, with the values of the parameters that it names."""
    return re.sub(r"\$(\w+)", lambda found: shown(values[found[1]]) if found[1] in values else found[0], meaning)


def shown(value: Value) -> str:
    """A value as `Parameter.parsed` reads it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _without_comments(sql: str) -> str:
    return "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--"))


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
