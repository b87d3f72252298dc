"""Options that several commands have, and what they are checked for."""

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from orchestration.house import House

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
DoorOption = Annotated[
    list[str] | None,
    typer.Option(
        "--door",
        metavar="NAME=SETTINGS",
        help="One model by itself, as in a profile: summariser='{kind: embedded}'. May be repeated.",
    ),
]


def choose_models(profile: str | None = None, doors: Sequence[str] | None = None) -> None:
    """Writes --profile and --door into the environment, where this process and those that it starts read them.

    Raises typer.BadParameter where they, or what the environment says already, make no set of doors.
    """
    from orchestration.profiles import BUILT_IN, ENVIRONMENT_PREFIX
    from orchestration.profiles import doors as configured_doors

    if profile := profile or os.environ.get("INTERNVID_PROFILE"):
        os.environ["INTERNVID_PROFILE"] = ",".join(
            # Files by their whole path, for processes that run in another folder.
            os.path.abspath(name) if name not in BUILT_IN and os.path.isfile(name) else name
            for name in profile.split(",")
        )
    for door in doors or []:
        name, equals, settings = door.partition("=")
        if not equals:
            raise typer.BadParameter(f"--door {door}: give a name and settings: --door summariser='{{kind: embedded}}'")
        os.environ[f"{ENVIRONMENT_PREFIX}{name.strip().upper()}"] = settings
    try:
        configured_doors(os.environ)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def opened(root: str | None, profile: str | None = None, doors: Sequence[str] | None = None) -> House:
    """The lake with the chosen models; a new one where there is none."""
    choose_models(profile, doors)
    return House(root)


def existing(root: str | None, profile: str | None = None, doors: Sequence[str] | None = None) -> House:
    """The lake to look at, with the chosen models: a mistyped name makes no new one."""
    choose_models(profile, doors)
    try:
        return House(root, must_exist=True)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error


def require_snapshot(house: House, name: str | None) -> None:
    """Raises typer.BadParameter for a snapshot that is not there; None is none."""
    if name is not None and name not in house.lake.tags():
        raise typer.BadParameter(f"there is no snapshot {name!r}; the table corpus_snapshot lists them")
