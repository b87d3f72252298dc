"""`internvid figure`: clips with their frames, caption and speech, as a picture or a page."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from orchestration.cli.options import LakeOption, existing
from orchestration.cli.output import console, notes

SUFFIXES = (".png", ".html")


def figure(
    clip_ids: Annotated[list[str], typer.Argument(metavar="CLIP_ID...", help="Clips, in the order to be shown.")],
    out: Annotated[
        Path, typer.Option(help="The file to write: FILE.png, or FILE.html, where the browser's fonts are used.")
    ] = Path("figure.png"),
    lake: LakeOption = None,
) -> None:
    """Show clips as the paper's Figure 1 does: three frames, the caption with nouns in blue and verbs in green, and the
    speech with its English beneath.
    """
    from internvid.report.figure import figure_html, figure_png, undrawn
    from internvid.report.fonts import scripts_of
    from internvid.report.whole_file import whole_binary_file, whole_file
    from resources.corpus.shown_clips import clips_by_id

    if out.suffix not in SUFFIXES:
        raise typer.BadParameter(f"{out} ends in neither {' nor '.join(SUFFIXES)}")
    session = existing(lake)
    try:
        clips = clips_by_id(session.lake, clip_ids)
    except KeyError as error:
        raise typer.BadParameter(str(error.args[0])) from error
    if out.suffix == ".html":
        with whole_file(out) as page:
            page.write(figure_html(clips, title=", ".join(clip.clip_id for clip in clips)))
    else:
        with whole_binary_file(out) as picture:
            picture.write(figure_png(clips))
        for clip in clips:
            if missing := undrawn(clip):
                notes.print(
                    f"[yellow]warning:[/yellow] {escape(clip.clip_id)}: no font here has {len(missing):,} of "
                    f"its characters ({', '.join(scripts_of(missing))}), which are drawn as boxes: install a font that "
                    f"has them (Noto), or write {escape(str(out.with_suffix('.html')))}",
                    highlight=False,
                    soft_wrap=True,
                )
    console.print(f"{len(clips):,} clips in {out}", markup=False)
