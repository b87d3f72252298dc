"""Commands that take ids and words take those that begin with a hyphen."""

from __future__ import annotations

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from orchestration.cli.app import app as internvid
from orchestration.cli.options import WordsCommand


@pytest.fixture
def echo() -> typer.Typer:
    app = typer.Typer()

    @app.command(cls=WordsCommand)
    def echo(
        words: list[str],
        lake: Annotated[str, typer.Option("--lake")] = "none",
        dry_run: Annotated[bool, typer.Option()] = False,
    ) -> None:
        print(words, lake, dry_run)

    return app


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["-076WPWoCRE"], "['-076WPWoCRE'] none False"),
        (["-076WPWoCRE", "--lake", "-a", "b"], "['-076WPWoCRE', 'b'] -a False"),
        (["a", "--dry-run", "-5", "--lake=x"], "['a', '-5'] x True"),
        (["--Xy_dEfGhIj"], "['--Xy_dEfGhIj'] none False"),
        (["--lake", "x", "--", "--lake", "-b"], "['--lake', '-b'] x False"),
        (["-"], "['-'] none False"),
        (["--no-dry-run", "a"], "['a'] none False"),
    ],
)
def test_a_word_that_is_no_option_is_an_argument(echo: typer.Typer, arguments: list[str], printed: str) -> None:
    result = CliRunner().invoke(echo, arguments)
    assert (result.exit_code, result.output.strip()) == (0, printed)


def test_a_mistyped_option_is_told_and_how_to_write_a_word_like_it(echo: typer.Typer) -> None:
    result = CliRunner().invoke(echo, ["a", "--dry-ru"])
    said = " ".join(result.output.replace("│", " ").split())
    assert result.exit_code == 2
    assert "No such option: --dry-ru. Did you mean --dry-run? If it is a word or an id, write -- before it." in said


@pytest.mark.parametrize(
    "command", [["why"], ["search"], ["forget", "--dry-run"], ["plan"], ["activate"], ["evaluate"]]
)
def test_the_commands_take_such_ids(command: list[str], tmp_path) -> None:
    result = CliRunner().invoke(internvid, [*command, "-076WPWoCRE", "--lake", str(tmp_path / "none")])
    assert "No such option" not in result.output
