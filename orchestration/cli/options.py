"""Options of several commands, and their checks."""

import os
import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from orchestration.cli.session import Session
from orchestration.settings import Settings, problems_of

LakeOption = Annotated[
    str | None,
    typer.Option("--lake", help="The lake's root: a folder or s3://bucket/prefix. Else INTERNVID_LAKE, else ./lake."),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAMES",
        help="Which models: profiles joined by commas, each a name of orchestration/profiles/ or a YAML file. "
        "Else INTERNVID_PROFILE, else embedded.",
    ),
]
ProviderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        metavar="NAME=SETTINGS",
        help="One model by itself, as in a profile: summariser='{kind: embedded}'. May be repeated.",
    ),
]


class StatementCommand(TyperCommand):
    """A command whose argument is SQL. SQL may begin with a comment, whose `--` would otherwise start an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [re.sub(r"\A(?=--\s|--.*\n)", "\n", argument) for argument in args])


def settings_of(
    lake: str | None = None, profile: str | None = None, providers: Sequence[str] | None = None
) -> Settings:
    """Returns the settings of the environment, overridden by the options.

    Raises typer.BadParameter for an invalid setting, with its name.
    """
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from orchestration.profiles import BUILT_IN

    given: dict[str, Any] = {}
    if lake is not None:
        given["lake"] = lake
    if profile is not None:
        given["profile"] = profile
    try:
        settings = Settings(**given)
    except (ValidationError, SettingsError) as error:
        raise typer.BadParameter(problems_of(error)) from error
    overrides = dict(settings.providers)
    for provider in providers or []:
        name, equals, text = provider.partition("=")
        if not equals:
            raise typer.BadParameter(
                f"--provider {provider}: give a name and settings: --provider summariser='{{kind: embedded}}'"
            )
        overrides[name.strip().lower()] = text
    names = ",".join(
        # Files by their whole path, for processes that run in another folder.
        os.path.abspath(name) if name not in BUILT_IN and os.path.isfile(name) else name
        for name in settings.profile.split(",")
    )
    return settings.model_copy(update={"profile": names, "providers": overrides})


def opened(root: str | None, profile: str | None = None, providers: Sequence[str] | None = None) -> Session:
    """Opens the lake with the chosen models; a new one where there is none."""
    return _session(settings_of(root, profile, providers), must_exist=False)


def existing(root: str | None, profile: str | None = None, providers: Sequence[str] | None = None) -> Session:
    """Opens an existing lake with the chosen models: a mistyped name creates no new lake."""
    return _session(settings_of(root, profile, providers), must_exist=True)


def _session(settings: Settings, *, must_exist: bool) -> Session:
    try:
        return Session(settings, must_exist=must_exist)
    except (FileNotFoundError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error


def require_snapshot(session: Session, name: str | None) -> None:
    """Raises typer.BadParameter for a snapshot that does not exist. name: None: no snapshot."""
    if name is not None and name not in session.lake.tags():
        raise typer.BadParameter(f"there is no snapshot {name!r}; the table corpus_snapshot lists them")
