"""Pages rendered from the code are committed as the code renders them, and every page is linked to."""

import re
from pathlib import Path
from typing import Any

from typer.main import get_command

from orchestration.cli.app import app
from orchestration.settings import Settings, render_markdown

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])


def test_the_page_of_settings_is_what_the_settings_render() -> None:
    page = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == render_markdown(), "run `internvid docs`"


def test_every_setting_has_a_meaning() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_link_between_pages_leads_to_a_file() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_page_is_reached_from_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in (REPOSITORY / "docs").glob("*.md") if f"docs/{page.name}" not in readme] == []


def test_every_file_that_a_page_names_exists() -> None:
    """A path in backticks that begins with one of the repository's folders."""
    named = re.compile(r"`((?:assets|benchmarks|docs|internvid|orchestration|resources|sql|tests)/[\w/.-]+)`")
    missing = [
        f"{page.name}: {path}"
        for page in PAGES
        for path in named.findall(page.read_text(encoding="utf-8"))
        if "NAME" not in path and path not in PATHS_TO_COME and not (REPOSITORY / path).exists()
    ]
    assert missing == []


PATHS_TO_COME = {"sql/units/clip_colours.sql"}  # of the stage that a page adds


SHOWN = r"internvid ([a-z][a-z-]*)(?: ([a-z-]+))?"  # a command, and perhaps one of its group
SHOWN_IN_A_BLOCK = re.compile(rf"^(?:\$ )?(?:\w+=\S* )*{SHOWN}(.*)$", re.M)
SHOWN_IN_A_LINE = re.compile(rf"`{SHOWN}([^`]*)`")


def test_every_command_that_a_page_shows_exists_with_its_options() -> None:
    unknown = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name, second, rest in (*SHOWN_IN_A_BLOCK.findall(text), *SHOWN_IN_A_LINE.findall(text)):
            options = _options_of(name, second)
            given = set(re.findall(r"(?<![\w-])--[a-z-]+", rest.partition(" #")[0])) - {"--help"}
            if options is None or not given <= options:
                unknown.append(f"{page.name}: internvid {name} {second} {rest}")
    assert unknown == []


def _options_of(name: str, second: str) -> set[str] | None:
    """Returns the options of the command, or of the one in its group; None where there is none."""
    command: Any = get_command(app).commands.get(name)  # type: ignore[attr-defined]
    if hasattr(command, "commands"):
        command = command.commands.get(second)
    return None if command is None else {option for parameter in command.params for option in parameter.opts}
