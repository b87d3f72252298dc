"""Options that several commands have, and what they are checked for."""

import os
import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from orchestration.cli.session import Session

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
    """A command whose argument is SQL. SQL may begin with a comment, which `--` would make an option otherwise."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [re.sub(r"\A(?=--\s|--.*\n)", "\n", argument) for argument in args])


def choose_models(profile: str | None = None, providers: Sequence[str] | None = None) -> None:
    """Writes --profile and --provider into the environment, where this process and those that it starts read them.

    Raises typer.BadParameter where they, or what the environment says already, make no set of providers.
    """
    from orchestration.profiles import BUILT_IN, ENVIRONMENT_PREFIX
    from orchestration.profiles import providers as configured_providers

    if profile := profile or os.environ.get("INTERNVID_PROFILE"):
        os.environ["INTERNVID_PROFILE"] = ",".join(
            # Files by their whole path, for processes that run in another folder.
            os.path.abspath(name) if name not in BUILT_IN and os.path.isfile(name) else name
            for name in profile.split(",")
        )
    for provider in providers or []:
        name, equals, settings = provider.partition("=")
        if not equals:
            raise typer.BadParameter(
                f"--provider {provider}: give a name and settings: --provider summariser='{{kind: embedded}}'"
            )
        os.environ[f"{ENVIRONMENT_PREFIX}{name.strip().upper()}"] = settings
    try:
        configured_providers(os.environ)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def opened(root: str | None, profile: str | None = None, providers: Sequence[str] | None = None) -> Session:
    """The lake with the chosen models; a new one where there is none."""
    choose_models(profile, providers)
    return Session(root)


def existing(root: str | None, profile: str | None = None, providers: Sequence[str] | None = None) -> Session:
    """The lake to look at, with the chosen models: a mistyped name makes no new one."""
    choose_models(profile, providers)
    try:
        return Session(root, must_exist=True)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error


def require_snapshot(session: Session, name: str | None) -> None:
    """Raises typer.BadParameter for a snapshot that is not there; None is none."""
    if name is not None and name not in session.lake.tags():
        raise typer.BadParameter(f"there is no snapshot {name!r}; the table corpus_snapshot lists them")
