"""The words of DESIGN.md: names and texts of the repository use the field's own, not those of the left column."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("orchestration", "assets", "resources", "internvid", "benchmarks")


@dataclass(frozen=True)
class Word:
    """A word that we do not use.

    pattern: of a whole identifier, or of a passage of text; case is ignored unless the pattern says otherwise.
    better: what to write instead.
    folders: prefixes of the paths where it is looked for; empty means everywhere.
    """

    pattern: str
    better: str
    folders: tuple[str, ...] = ()

    def is_in(self, path: str) -> bool:
        return not self.folders or path.startswith(self.folders)


def part(words: str) -> str:
    """A pattern of identifiers that have one of the words as a part: `frame_steps`, `StepReport`."""
    return rf"(?i:(.*_)?({words})(_.*)?)"


PIPELINE = ("assets/", "orchestration/", "resources/incremental/")

NAMES = (
    Word(part("steps?"), "stage", PIPELINE),
    Word(part("house|houses"), "session"),
    Word("Work", "RunSummary"),
    Word(part("doors?"), "provider"),
    Word(r"(.*_)?is_set", "is_enabled"),
    Word(r"(?i:(.*_)?(looks?|looked)(?!_ahead)(_.*)?)", "poll"),
    Word(part("left_alone"), "cooldown"),
    Word(part("pace|paced"), "rate_limit"),
    Word(part("by_lot"), "by_chance, at_random"),
    Word(r"(?i:_*(most(?!_common)|longest|fewest|shortest|least)_.+)", "max_, min_"),
    Word(r"(?i:.+_(at_most|at_once))", "max_, max_concurrent_"),
    Word(part("made_anew|anew"), "recomputed"),
    Word(part("rests_on|hangs_on"), "depends_on"),
    Word(part("told|untold|said"), "the thing's own noun"),
    Word(r"(?i:_*(found|one|other|some))", "the thing's own noun"),
    Word("keeps_history", "append_only"),
    Word("declared", "parameters"),
    Word("recipes", "stage_versions", ("resources/incremental/", "resources/lake/")),
    Word("work_off", "process_pending"),
    Word(part("films?"), "synthetic videos"),
)

TEXTS = (
    Word(r"\bhouse\b", "session"),
    Word(r"\bdoors?\b", "provider"),
    Word(r"\bis_set\b", "is_enabled"),
    Word(r"\bfeed_looks\b|\b(a|the|each|every|next|last|first) looks?\b", "poll"),
    Word(r"\bleft[ _]alone\b|\bleaves? (\w+ )?alone\b", "cooldown"),
    Word(r"\bpaced?\b", "rate limit"),
    Word(r"\bby[ _]lot\b", "by chance, at random"),
    Word(r"\b(most(?!_common)|longest|fewest|shortest|least)_\w+|\w_at_(most|once)\b", "max_, min_, max_concurrent_"),
    Word(r"\bmade anew\b|\banew\b", "recomputed"),
    Word(r"\b(rests?|hangs?) on\b", "depends on"),
    Word(r"\bkeeps_history\b", "append_only"),
    Word(r"\bwork_off\b", "process_pending"),
    Word(r"\bfilms?\b", "synthetic videos"),
)

DAGSTER = "Dagster's own name"
OPTIMISER = "steps of the optimiser, which training counts"

# (path, word) -> why it stands there.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("internvid/synthetic/pictures.py", "film"): "film grain is a noise",
    ("internvid/web/queries.py", "door"): "of a search phrase",
    ("orchestration/cli/session.py", "is_step_failure"): DAGSTER,
    ("orchestration/cli/session.py", "step_failure_data"): DAGSTER,
    ("orchestration/cli/ablate_generators.py", "steps"): OPTIMISER,
    ("orchestration/configured.py", "max_steps"): OPTIMISER,
    ("orchestration/configured.py", "trial_steps"): OPTIMISER,
    ("orchestration/settings.py", "trial_steps"): OPTIMISER,
}


@dataclass(frozen=True)
class Use:
    path: str
    line: int
    word: str
    better: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word!r}: write {self.better}"


def names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of everything that the module names itself or asks of another."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name) | ast.ExceptHandler(name=str(name)):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.keyword(arg=str(name)):
                yield node.lineno, name
            case ast.alias(name=name, asname=asname):
                yield node.lineno, asname or name.rsplit(".", 1)[-1]


@cache
def unwanted_names(name: str) -> tuple[Word, ...]:
    """The words of NAMES that a name has. `StepReport` is `Step_Report`: the parts are all between underscores."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return tuple(word for word in NAMES if re.fullmatch(word.pattern, parts))


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Lines of a module's strings and comments."""
    kinds = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in kinds:
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line


def uses_in_names(path: str, source: str) -> Iterator[Use]:
    for line, name in names(ast.parse(source)):
        yield from (Use(path, line, name, word.better) for word in unwanted_names(name) if word.is_in(path))


def uses_in_texts(path: str, source: str, lines: Callable[[str], Iterable[tuple[int, str]]]) -> Iterator[Use]:
    words = [word for word in TEXTS if word.is_in(path) and re.search(word.pattern, source, re.IGNORECASE)]
    for line, text in lines(source) if words else ():
        for word in words:
            for match in re.finditer(word.pattern, text, re.IGNORECASE):
                yield Use(path, line, match.group(), word.better)


def uses_of(path: str, source: str) -> Iterator[Use]:
    """The words that a file uses and should not, exceptions included."""
    if path.endswith(".py"):
        yield from uses_in_names(path, source)
        yield from uses_in_texts(path, source, texts)
    else:
        yield from uses_in_texts(path, source, lambda text: enumerate(text.splitlines(), start=1))


def files() -> list[str]:
    """Every file whose words are checked."""
    python = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    others = [*(ROOT / "sql").rglob("*.sql"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    yaml = [*ROOT.glob("*.yaml"), *(ROOT / "orchestration").rglob("*.yaml")]
    return sorted(path.relative_to(ROOT).as_posix() for path in [*python, *others, *yaml])


def test_names_and_texts_use_the_words_of_the_field():
    uses = [use for path in files() for use in uses_of(path, (ROOT / path).read_text())]
    wrong = sorted({str(use) for use in uses if (use.path, use.word) not in EXCEPTIONS})
    assert not wrong, "\n".join([f"{len(wrong)} words that we do not use:", *wrong])


def test_every_exception_is_needed():
    used = {(use.path, use.word) for path, _ in EXCEPTIONS for use in uses_of(path, (ROOT / path).read_text())}
    assert used == set(EXCEPTIONS)


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("class StepReport: ...", "StepReport"),
        ("frame_steps = 3", "frame_steps"),
        ("def f(found): ...", "found"),
        ("for one in rows: ...", "one"),
        ("f(most_videos=3)", "most_videos"),
        ("a.left_alone_until", "left_alone_until"),
        ("runs_at_once = 2", "runs_at_once"),
        ("import a as films", "films"),
        ("# by lot it would be a third", "by lot"),
        ('"""Rows are\nmade anew."""', "made anew"),
        ('f"left alone until {then}"', "left alone"),
    ],
)
def test_a_planted_word_is_found_with_its_line(source, word):
    found = list(uses_of("assets/planted.py", f"\n{source}\n"))
    assert [use.word for use in found] == [word]
    assert found[0].line in (2, 3)
    assert str(found[0]).startswith(f"assets/planted.py:{found[0].line}: {word!r}")


def test_a_planted_word_is_found_in_sql():
    (use,) = uses_of("sql/units/planted.sql", "-- pending\n-- rows that are made anew\n")
    assert str(use) == "sql/units/planted.sql:2: 'made anew': write recomputed"


def test_a_word_is_free_where_it_means_something_else():
    assert not list(uses_of("internvid/viclip/planted.py", "steps = 3  # of the optimiser"))
