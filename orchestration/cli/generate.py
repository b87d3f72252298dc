"""`internvid generate`: videos from text, by a trained generator."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from internvid.generation.recipe import Sampling
from orchestration.cli.options import LakeOption, existing
from orchestration.cli.output import console, notes

if TYPE_CHECKING:
    from internvid.generation.model import VideoDenoiser

MAX_NAME_CHARACTERS = 60


def generate(
    prompts: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="What the video is to show. May be repeated.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="An id of the table generation_checkpoints, or a checkpoint's folder. Else the newest."),
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Of the noise. May be repeated.")] = None,
    denoiser_calls: Annotated[int, typer.Option(min=1, help="Of the sampler, for a video.")] = Sampling.denoiser_calls,
    guidance: Annotated[float, typer.Option(help="Weight of the text against no text; 1: none.")] = Sampling.guidance,
    out: Annotated[Path, typer.Option(help="The folder for the MP4 files.")] = Path("."),
    parameters: Annotated[
        bool,
        typer.Option(
            "--parameters",
            help="List the denoiser's parameters instead: which are the image model's, and which were added. The model "
            "may be a Stable-Diffusion folder.",
        ),
    ] = False,
    lake: LakeOption = None,
) -> None:
    """Generate a video from each prompt with each seed, as MP4 files."""
    from resources.incremental.faults import ModelUnavailable, raising_faults

    if parameters:
        _list_parameters(_denoiser(model, lake))
        return
    if not prompts:
        raise typer.BadParameter("say what the video is to show")
    session = existing(lake)
    try:
        with raising_faults(session.lake.root):
            loaded = session.resources["generators"].loaded(session.lake, model)
    except (ValueError, ModelUnavailable) as error:
        raise typer.BadParameter(str(error)) from error
    notes.print(f"{escape(loaded.checkpoint_id)}, {denoiser_calls} calls of the denoiser, guidance {guidance:g}")
    out.mkdir(parents=True, exist_ok=True)
    for prompt in prompts:
        for number in seed or [0]:
            (video,) = loaded.sample([prompt], [number], denoiser_calls=denoiser_calls, guidance=guidance)
            path = out / f"{_name(prompt)}-{number}.mp4"
            path.write_bytes(video.mp4)
            console.print(str(path), markup=False, highlight=False, soft_wrap=True)


def _name(prompt: str) -> str:
    """Returns the prompt as a part of a file's name."""
    return re.sub(r"[^\w]+", "-", prompt.lower()).strip("-")[:MAX_NAME_CHARACTERS] or "video"


def _denoiser(model: str | None, lake: str | None) -> "VideoDenoiser":
    """Returns the denoiser of a generator, or of a Stable-Diffusion folder as it begins."""
    from dataclasses import replace

    from internvid.generation.recipe import T2V_SD
    from resources.incremental.faults import ModelUnavailable

    try:
        if model is not None and (Path(model) / "unet").is_dir():
            from internvid.generation.checkpoint import new_generator

            return new_generator(replace(T2V_SD, image_model=model), []).denoiser
        session = existing(lake)
        return session.resources["generators"].loaded(session.lake, model).generator.denoiser
    except (ValueError, OSError, ModelUnavailable) as error:
        raise typer.BadParameter(str(error)) from error


def _list_parameters(denoiser: "VideoDenoiser") -> None:
    from math import prod

    from internvid.generation.model import listed_parameters

    totals = {"image model": 0, "added": 0}
    for listed in listed_parameters(denoiser):
        origin = "added" if listed.image_name is None else "image model"
        totals[origin] += prod(listed.shape)
        shape = "x".join(map(str, listed.shape)) or "1"
        console.print(f"{origin:12s} {shape:>16s}  {listed.name}", markup=False, highlight=False, soft_wrap=True)
    for origin, count in totals.items():
        console.print(f"{origin:12s} {count:>16,}  in all", markup=False, highlight=False)
