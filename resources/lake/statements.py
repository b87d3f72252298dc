"""The SQL files under `sql/`, by name. A statement stands in a file of its own, never in a Python string.

A file may begin with a header: YAML in comment lines between two lines `-- ---`, so that the file stays plain SQL.

    -- ---
    -- title: Videos by codec
    -- description: >
    --   One row a codec; share is of all videos.
    -- ---
    select …

`Header` says which fields there are; a kind of file that declares more has a model of its own that inherits from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

FOLDER = Path(__file__).resolve().parents[2] / "sql"
FENCE = "-- ---"  # the line before a header and the line after it

Location = tuple[int | str, ...]


@cache
def statement(name: str) -> str:
    """The text of `sql/<name>.sql`, for instance `incremental/state`. Raises FileNotFoundError for an unknown name."""
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def statements_in(folder: str) -> list[Path]:
    """The SQL files of `sql/<folder>/`, by name."""
    return sorted((FOLDER / folder).glob("*.sql"))


class Header(BaseModel):
    """The header of a SQL file: what the statement answers, and how its answer is to be read."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, str_strip_whitespace=True)

    title: str = Field(min_length=1)
    description: str = ""

    @classmethod
    def expected(cls, location: Location) -> str:
        """What to write at a location of the header, for an error message. location: keys from the top down."""
        return f"a header has the fields {', '.join(cls.model_fields)}"


HeaderType = TypeVar("HeaderType", bound=Header)


@cache
def header(name: str) -> Header:
    """The header of `sql/<name>.sql`. Raises ValueError as `parsed_header` does."""
    return parsed_header(statement(name), FOLDER / f"{name}.sql", Header)


def parsed_header(text: str, file: Path, model: type[HeaderType]) -> HeaderType:
    """The header of a SQL text, checked by its model.

    file: named in error messages.
    Raises ValueError that names the file, the line, the field, and what to write there.
    """
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != FENCE:
        raise ValueError(
            f"{file}, line 1: the file must begin with a header: the lines `{FENCE}`, `-- title: …` and `{FENCE}`"
        )
    end = next((number for number, line in enumerate(lines[1:], start=1) if line.rstrip() == FENCE), len(lines))
    for number, line in enumerate(lines[1:end], start=2):
        if not line.startswith("--"):
            raise ValueError(f"{file}, line {number}: the header has no end: write the line `{FENCE}` above this one")
    if end == len(lines):
        raise ValueError(f"{file}, line {end}: the header has no end: write the line `{FENCE}` below this one")
    yaml_text = "\n".join(line.removeprefix("--").removeprefix(" ") for line in lines[1:end])
    try:
        root = yaml.compose(yaml_text, Loader=yaml.SafeLoader)
        fields = yaml.safe_load(yaml_text)
    except yaml.MarkedYAMLError as error:
        line_number = error.problem_mark.line + 2 if error.problem_mark else 1  # YAML counts from 0, after the fence
        raise ValueError(
            f"{file}, line {line_number}: this is no YAML: {error.problem}. "
            "Put a text that holds a colon, comma or bracket between quotes"
        ) from error
    except yaml.YAMLError as error:
        raise ValueError(f"{file}: the header is no YAML: {error}") from error
    if not isinstance(root, yaml.MappingNode):
        raise ValueError(f"{file}, line 2: a header consists of fields: -- title: …")
    for name, line_number in _repeated_keys(root):
        raise ValueError(f"{file}, line {line_number}: {name} is declared a second time: remove one of the two")
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise ValueError(_in_words(error, file, root, model)) from error


def _in_words(error: ValidationError, file: Path, root: yaml.MappingNode, model: type[Header]) -> str:
    """The first problem that the model found: file, line, field, problem, and what to write."""
    problem = error.errors()[0]
    location = problem["loc"]
    where = f"{file}, line {_line_number(root, location)}"
    field = ".".join(str(key) for key in location)
    match problem["type"]:
        case "missing":
            text = f"the field {field} is missing"
        case "extra_forbidden":
            text = f"there is no field {field}"
        case "value_error":
            text = f"{field}: {problem['ctx']['error']}" if field else str(problem["ctx"]["error"])
        case _:
            text = f"{field}: {problem['msg']}, not {problem['input']!r}"
    return f"{where}: {text}; {model.expected(location)}"


def _line_number(root: yaml.MappingNode, location: Location) -> int:
    """The line of the file, from 1, on which the deepest key of a location stands that is there."""
    node: yaml.Node = root
    line = 0
    for key in location:
        if isinstance(node, yaml.MappingNode):
            pair = next(((name, value) for name, value in node.value if name.value == str(key)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            pair = (node.value[key], node.value[key])
        else:
            pair = None
        if pair is None:
            break
        line, node = pair[0].start_mark.line, pair[1]
    return line + 2


def _repeated_keys(node: yaml.Node) -> Iterator[tuple[Any, int]]:
    """Keys that a mapping holds twice, each with its line: YAML would take the last one without a word."""
    if isinstance(node, yaml.MappingNode):
        names = [name.value for name, _ in node.value]
        for position, (name, value) in enumerate(node.value):
            if name.value in names[:position]:
                yield name.value, name.start_mark.line + 2
            yield from _repeated_keys(value)
