"""Options that several commands have, and what they are checked for."""

from typing import Annotated

import typer

from orchestration.house import House

LakeOption = Annotated[
    str | None,
    typer.Option("--lake", help="The lake's root: a folder or s3://bucket/prefix. Else INTERNVID_LAKE, else ./lake."),
]


def existing(root: str | None) -> House:
    """The lake to look at: a mistyped name makes no new one."""
    try:
        return House(root, must_exist=True)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error


def require_snapshot(house: House, name: str | None) -> None:
    """Raises typer.BadParameter for a snapshot that is not there; None is none."""
    if name is not None and name not in house.lake.tags():
        raise typer.BadParameter(f"there is no snapshot {name!r}; the table corpus_snapshot lists them")
