"""`internvid chat`: questions about a clip or a video, answered by a trained chat, here or at an endpoint."""

import sys
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.markup import escape

from orchestration.cli.options import LakeOption, existing
from orchestration.cli.output import console, notes


def chat(
    what: Annotated[
        str | None,
        typer.Argument(metavar="CLIP|VIDEO", help="A clip_id or a video_id. With --serve it may be left out."),
    ] = None,
    question: Annotated[
        list[str] | None, typer.Option("--question", "-q", help="Ask this and end. May be repeated.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="An id of the table chat_checkpoints, or a checkpoint's folder. Else the newest.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Upper bound on the tokens of an answer.")] = 128,
    serve: Annotated[bool, typer.Option("--serve", help="Answer at an OpenAI-compatible endpoint instead.")] = False,
    port: Annotated[int, typer.Option(help="Where the endpoint listens on 127.0.0.1; 0: any that is free.")] = 8020,
    lake: LakeOption = None,
) -> None:
    """Ask about a clip or a whole video. Answers name the clips that show them, with their times."""
    from resources.incremental.faults import ModelUnavailable, raising_faults
    from resources.models.chat import load_chat_of
    from resources.training.shown_clips import clips_to_show

    session = existing(lake)
    settings = session.settings
    try:
        with raising_faults(session.lake.root):
            clips = [] if what is None else clips_to_show(session.lake, what)
            loaded = load_chat_of(session.lake, model, device=settings.device, language_model=settings.language_model)
    except (ValueError, ModelUnavailable) as error:
        raise typer.BadParameter(str(error)) from error
    if serve:
        from orchestration.chat_endpoint import serve_chat

        serve_chat(loaded, clips, port=port)
        return
    if not clips:
        raise typer.BadParameter("name a clip or a video: `internvid search` finds clips")
    notes.print(
        f"{escape(loaded.checkpoint_id)} on {len(clips):,} clips of {escape(clips[0].video_id)}, "
        f"{clips[0].start_seconds:.1f} to {clips[-1].end_seconds:.1f} s"
    )
    for asked in question or _typed():
        try:
            answer = loaded.answer(clips, asked, max_new_tokens=max_tokens)
        except ValueError as error:
            notes.print(escape(str(error)))
            continue
        if question:
            console.print(f"> {asked}", markup=False, highlight=False, soft_wrap=True)
        console.print(answer.text or "(no text)", markup=False, highlight=False, soft_wrap=True)
        for clip in answer.clips:
            console.print(
                f"  {clip.start_seconds:.1f} to {clip.end_seconds:.1f} s: {clip.clip_id}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        if len(answer.read) < len(clips):
            notes.print(
                f"it was shown {len(answer.read):,} of the {len(clips):,} clips, evenly spaced: more do not fit"
            )
        if not answer.is_complete:
            notes.print(f"the answer was cut off at {max_tokens} tokens")


def _typed() -> Iterator[str]:
    """Yields questions that are typed, until an empty line or the end of the input."""
    if sys.stdin.isatty():
        notes.print("ask; an empty line ends")
    while True:
        if sys.stdin.isatty():
            print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line.strip():
            return
        yield line.strip()
