"""`internvid generate`: videos from text, by a trained generator."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from internvid.generation.recipe import Sampling
from orchestration.cli.options import LakeOption, existing
from orchestration.cli.output import console, notes

if TYPE_CHECKING:
    from internvid.generation.metrics.prompts import Request
    from internvid.generation.model import VideoDenoiser

LIST = "prompts.jsonl"  # in the folder of the videos: internvid.generation.metrics.videos.PROMPTS


def generate(
    prompts: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="What the video is to show. May be repeated.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="An id of the table generation_checkpoints, or a checkpoint's folder. Else the newest."),
    ] = None,
    prompts_file: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            help="Instead, a file of prompts: one in each line, or (.jsonl) an object with prompt, and perhaps video "
            "(the file's name) and seed, as generation-prompts writes them.",
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(
            min=0,
            help="Of the noise. May be repeated: each prompt with each. Else 0; of a file's prompts their number.",
        ),
    ] = None,
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
    """Generate a video from each prompt with each seed, as MP4 files; of a file of prompts with the list that
    measure-generated reads."""
    from internvid.generation.metrics.prompts import requests, requests_in
    from resources.incremental.faults import ModelUnavailable, raising_faults

    if parameters:
        _list_parameters(_denoiser(model, lake))
        return
    if bool(prompts) == (prompts_file is not None):
        raise typer.BadParameter("say what the video is to show: by prompts, or by --prompts FILE")
    if prompts_file is not None and prompts_file.resolve() == (out / LIST).resolve():
        raise typer.BadParameter(f"the list of the videos would replace {prompts_file}: choose another folder by --out")
    try:
        wanted = requests(prompts or [], seed or [0]) if prompts_file is None else requests_in(prompts_file, seed)
        session = existing(lake)
        with raising_faults(session.lake.root):
            loaded = session.resources["generators"].loaded(session.lake, model)
    except (ValueError, OSError, ModelUnavailable) as error:
        raise typer.BadParameter(str(error)) from error
    notes.print(f"{escape(loaded.checkpoint_id)}, {denoiser_calls} calls of the denoiser, guidance {guidance:g}")
    out.mkdir(parents=True, exist_ok=True)
    if prompts_file is not None:
        _list(out, wanted)
    for request in wanted:
        (video,) = loaded.sample([request.prompt], [request.seed], denoiser_calls=denoiser_calls, guidance=guidance)
        path = out / f"{request.video}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(video.mp4)
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)


def _list(folder: Path, wanted: "list[Request]") -> None:
    """Writes the prompts into the folder's list; of videos that were made before, the lines stay.

    Raises typer.BadParameter for a list of another form: it is not overwritten.
    """
    from internvid.generation.metrics.videos import prompts_in
    from internvid.report.whole_file import whole_file

    path = folder / LIST
    try:
        known = prompts_in(folder) if path.exists() else {}
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    listed = known | {f"{request.video}.mp4": request.prompt for request in wanted}
    with whole_file(path) as file:
        for video, prompt in listed.items():
            file.write(json.dumps({"video": video, "prompt": prompt}, ensure_ascii=False) + "\n")


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
