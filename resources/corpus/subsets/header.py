"""The declaration of a subset in a SQL file: title, parameters, conditions, and the tables that the statement reads.

A subset is one file of `sql/subsets/`, or a user's own: any `.sql` file in the folder that the environment variable
INTERNVID_SUBSETS names. The same file defines the selection of the clips (`selection`) and the number of clips that
each condition removes (`waterfall`). The asset writes the rows.

A file begins with a header of YAML in comment lines:

    -- ---
    -- title: Clips with dogs                                      required
    -- description: Any text about the subset.
    -- parameters:
    --   threshold: {type: double, default: 0.3, min: 0, max: 1, meaning: score that a clip must reach}
    --   word: {type: text, default: dog, meaning: what the caption must hold}
    -- conditions:
    --   similar_enough: $score is at least $threshold              a condition in words
    -- reads: [clip_scores]                                        tables beside the pool's own
    -- ---

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
                it, and null says that it is unknown, a score being missing for instance, and removes it too
    every other column is a measurement, shown beside examples

Clips of the pool that the statement does not return, because of a WHERE for instance, are counted as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from resources.incremental.provenance import digest
from resources.lake.schema import TABLES
from resources.lake.statements import Header, Location, parsed_header, statement, statements_in

POOL_TABLES = ("clips", "clip_captions", "frames", "raw_videos", "attempts")  # the pool's, and the examples'

Value = int | float | str | bool | None

PYTHON_TYPES: dict[str, type] = {"bigint": int, "double": float, "text": str, "boolean": bool}
ParameterName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class Parameter(BaseModel):
    """A parameter of a subset's statement.

    default: None where it may be unset. min, max: inclusive bounds of a number.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, str_strip_whitespace=True)

    name: ParameterName
    type: Literal["bigint", "double", "text", "boolean"]
    default: Any
    meaning: str
    min: float = -math.inf
    max: float = math.inf

    @model_validator(mode="after")
    def _default_is_a_value(self) -> Parameter:
        if self.type not in ("bigint", "double") and (math.isfinite(self.min) or math.isfinite(self.max)):
            raise ValueError("only numbers have min and max")
        # The statement must see 4.0 where the header says 4; a frozen model is changed in this way only.
        object.__setattr__(self, "default", self.checked(self.default))
        return self

    def checked(self, value: object) -> Value:
        """The value as this parameter's type. Raises ValueError that names the parameter and what it takes."""
        if value is None and self.default is None:
            return None
        if self.type == "double" and type(value) is int:
            value = float(value)
        # The bounds are compared in this way so that NaN is refused too.
        is_outside = isinstance(value, int | float) and not self.min <= value <= self.max
        if type(value) is not PYTHON_TYPES[self.type] or is_outside:
            raise ValueError(f"{self.name} takes {self.takes}, not {value!r}")
        return cast(Value, value)

    def parsed(self, text: str) -> Value:
        """A value written as text, as on the command line. Raises ValueError as `checked` does."""
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
        """The accepted values, in words."""
        words = {"bigint": "a whole number", "double": "a number", "text": "text", "boolean": "true or false"}[
            self.type
        ]
        if math.isfinite(self.min) and math.isfinite(self.max):
            words += f" from {self.min:g} to {self.max:g}"
        elif math.isfinite(self.min):
            words += f" of at least {self.min:g}"
        elif math.isfinite(self.max):
            words += f" of at most {self.max:g}"
        return words + (" or null" if self.default is None else "")


COMMON_PARAMETERS = (
    Parameter(
        name="clips",
        type="bigint",
        default=None,
        min=0,
        meaning="how many clips are drawn; null: all that the conditions leave",
    ),
    Parameter(name="seed", type="bigint", default=42, meaning="of the draw"),
    Parameter(
        name="validation_share",
        type="double",
        default=0.1,
        min=0,
        max=1,
        meaning="of the pool's videos that are for validation",
    ),
    Parameter(
        name="test_share",
        type="double",
        default=0.1,
        min=0,
        max=1,
        meaning="of the pool's videos that are for testing",
    ),
    Parameter(
        name="split_seed",
        type="bigint",
        default=42,
        meaning="of the split; with the same one a video is on one side in every subset",
    ),
)


class SubsetHeader(Header):
    """The header of a subset's file. conditions: meanings by name of a boolean column; it need not name all of them."""

    parameters: dict[ParameterName, Parameter] = Field(default_factory=dict, validate_default=True)
    conditions: dict[str, str] = Field(default_factory=dict)
    reads: list[str] = Field(default_factory=list)

    @field_validator("parameters", mode="before")
    @classmethod
    def _with_names(cls, parameters: Any) -> Any:
        """Copies a parameter's name, which the file has as a key, into the parameter's fields."""
        if not isinstance(parameters, dict):
            return parameters
        return {
            name: {**fields, "name": name} if isinstance(fields, dict) else fields
            for name, fields in parameters.items()
        }

    @field_validator("parameters", mode="after")
    @classmethod
    def _with_common_ones(cls, parameters: dict[str, Parameter]) -> dict[str, Parameter]:
        """Appends the common parameters, each with the header's own default where it declares the parameter again."""
        complete = dict(parameters)
        for common in COMMON_PARAMETERS:
            complete[common.name] = _as_common(complete.pop(common.name, None), common)
        return complete

    @field_validator("reads")
    @classmethod
    def _are_tables(cls, reads: list[str]) -> list[str]:
        for name in reads:
            if name not in TABLES:
                raise ValueError(f"there is no table {name!r}; there are {', '.join(TABLES)}")
        return reads

    @classmethod
    def expected(cls, location: Location) -> str:
        """What to write at a location of the header, for an error message."""
        if location[:1] == ("parameters",):
            return (
                "write a parameter as NAME: {type: …, default: …, min: …, max: …, meaning: …}, "
                f"with a type of {', '.join(PYTHON_TYPES)}; min and max may be left out"
            )
        return super().expected(location)


@dataclass(frozen=True)
class Subset:
    """The declaration of a subset.

    parameters: by name, the common parameters last. conditions: meanings of conditions, by name; some may be missing.
    reads: tables besides POOL_TABLES. statement: the file's text.
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
        """Returns a readable version of the selection: name, values other than the default, hash of SQL and values."""
        values = self.values(given)
        changed = [f"{name}={shown(value)}" for name, value in values.items() if value != self.parameters[name].default]
        sql = {name: statement(f"selection/{name}") for name in ("pool", "judged", "drawn", "split", "selection")}
        return "+".join((self.name, *changed, digest(_without_comments(self.statement), sql, values)[:8]))

    def _known(self, name: str) -> Parameter:
        if name not in self.parameters:
            raise ValueError(f"{self.name} has no parameter {name!r}; it has {', '.join(self.parameters)}")
        return self.parameters[name]


def subsets(own_folder: str | None = None) -> dict[str, Subset]:
    """Every subset by name: those of sql/subsets, and the user's own. Reads small files, imports nothing heavy.

    Raises ValueError for a header that cannot be read, a name that is taken, and a folder that is not there.
    """
    subset_by_name = {file.stem: read_subset(file) for file in statements_in("subsets")}
    if own_folder:
        if not Path(own_folder).is_dir():
            raise ValueError(f"INTERNVID_SUBSETS names {own_folder}, which is not a folder")
        for file in sorted(Path(own_folder).glob("*.sql")):
            if file.stem in subset_by_name:
                raise ValueError(f"{file}: there is a subset {file.stem} already; give the file another name")
            subset_by_name[file.stem] = read_subset(file)
    return subset_by_name


def subset_named(name: str, own_folder: str | None = None) -> Subset:
    """The subset of that name. Raises ValueError that lists the subsets there are."""
    subset_by_name = subsets(own_folder)
    if name not in subset_by_name:
        raise ValueError(f"there is no subset {name!r}; there are {', '.join(subset_by_name)}")
    return subset_by_name[name]


def read_subset(file: Path) -> Subset:
    """Reads the declaration of a subset; its statement is checked when it is used.

    Raises ValueError that names the file, the line, and what to write there.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", file.stem):
        raise ValueError(f"{file}: a subset is named by its file: small letters, digits and _, a letter first")
    text = file.read_text(encoding="utf-8")
    header = parsed_header(text, file, SubsetHeader)
    return Subset(
        name=file.stem,
        path=file,
        title=header.title,
        description=header.description,
        parameters=header.parameters,
        conditions=header.conditions,
        reads=tuple(header.reads),
        statement=text,
    )


def shown(value: Value) -> str:
    """A value as `Parameter.parsed` reads it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _as_common(parameter: Parameter | None, common: Parameter) -> Parameter:
    """A common parameter as a header declares it again: with another default and meaning, within the same bounds."""
    if parameter is None:
        return common
    if parameter.type != common.type or (parameter.default is None and common.default is not None):
        raise ValueError(
            f"every subset has a parameter {common.name}; declared again it must be a {common.type}"
            + ("" if common.default is None else " with a default that is not null")
        )
    bounds = {"min": max(parameter.min, common.min), "max": min(parameter.max, common.max)}
    return parameter.model_copy(update=bounds)


def _without_comments(sql: str) -> str:
    return "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--"))
