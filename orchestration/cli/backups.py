"""`internvid backup` and `internvid restore`: copies of a lake, and lakes made of them."""

from typing import Annotated

import typer
from rich.filesize import decimal

from orchestration.cli.options import LakeOption, existing, settings_of
from orchestration.cli.output import console


def backup(
    to: Annotated[str, typer.Argument(help="A folder, or s3://bucket/prefix; the same one each time.")],
    lake: LakeOption = None,
) -> None:
    """Copy the lake, also while others write it: what is new since the last copy there.

    Tables with their snapshots, what is published, checkpoints, and the media store; not Dagster's history of runs, and
    no videos that the lake only refers to.
    """
    from resources.corpus.backups import back_up
    from resources.lake.paths import StoragePath, absolute

    session = existing(lake)
    copied = back_up(session.lake, session.media.root, StoragePath(absolute(to), session.lake.file_options))
    console.print(
        f"{copied.files:,} files copied ({decimal(copied.bytes)}), {copied.kept:,} were there, {copied.removed:,} that "
        f"nothing needs any more were removed: {absolute(to)}",
        markup=False,
        soft_wrap=True,
    )


def restore(
    backup: Annotated[str, typer.Argument(help="Where `internvid backup` put it.")], lake: LakeOption = None
) -> None:
    """Make a lake of a backup, where there is none. Rows name their videos by the paths that they had."""
    from orchestration.configured import configured
    from resources.corpus.backups import restore as restore_lake
    from resources.lake.paths import StoragePath, absolute

    resources = configured(settings_of(lake))
    try:
        copied = restore_lake(
            StoragePath(absolute(backup), resources["lake"].file_options), resources["lake"], resources["media"].root
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    console.print(
        f"{copied.files:,} files ({decimal(copied.bytes)}) restored: {resources['lake'].root}. `internvid status` says "
        "what is pending",
        markup=False,
        soft_wrap=True,
    )
