"""`internvid plan --generator`: what a training step of a generator takes of a GPU, reckoned without one."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.cli.options import existing
from orchestration.cli.output import console
from orchestration.cli.plan_chat import GPU_GIB

if TYPE_CHECKING:
    from internvid.generation.reckoning import TrainingReckoning
    from resources.corpus.estimate.prices import Machine, Prices

SHARE_OF_PEAK = 0.4  # of a GPU's arithmetic: assumed, and not measured here; convolutions of small pictures reach less
UPDATES_PRICED = 1_000


def plan_generator(
    recipe_name: str, *, prices_file: Path | None, kind: str | None, lake: str | None, as_json: bool
) -> None:
    """Prints weights, memory and arithmetic of a step, and how many videos at once fit into GPUs; with prices that have
    a GPU's peak, its time and money too.

    Raises typer.BadParameter for an unknown recipe, an image model that is not there, and prices without a peak.
    """
    from internvid.generation.recipe import GENERATION_RECIPES
    from internvid.generation.reckoning import SHARE_OF_MEMORY, reckoned_training

    if recipe_name not in GENERATION_RECIPES:
        there_are = ", ".join(GENERATION_RECIPES)
        raise typer.BadParameter(f"there is no recipe of a generator {recipe_name!r}; there are {there_are}")
    recipe = existing(lake).resources["trainer"].generator_as_trained(GENERATION_RECIPES[recipe_name])
    try:
        prices, machine = _machine(prices_file, kind)
        reckoned = reckoned_training(recipe)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from error
    fitting = {gib: reckoned.fitting_videos(gib * 2**30 * SHARE_OF_MEMORY) for gib in GPU_GIB}
    update_seconds = None if machine is None else _update_seconds(reckoned, machine)
    if as_json:
        plain: dict[str, Any] = {"recipe": recipe.version, **asdict(reckoned), "fixed_bytes": reckoned.fixed_bytes}
        plain |= {
            "batch_bytes": reckoned.memory_bytes(reckoned.videos),
            "fitting": fitting,
            "step_seconds": update_seconds,
        }
        typer.echo(json.dumps(plain, indent=2))
        return
    named = "sizes of Stable Diffusion 1.x, as INTERNVID_IMAGE_MODEL is not set" if recipe.image_model == "" else None
    title = ", ".join(
        filter(None, (recipe.version, named, f"videos of {reckoned.frames} x {recipe.image_size} pixels"))
    )
    table = TextTable("what", "", title=escape(title), title_justify="left")
    for part, count in reckoned.parameters.items():
        table.add_row(f"weights: {part}", f"{count:,}")
    rows = {
        "weights that are trained": f"{reckoned.trained:,}",
        "weights in memory, with copies": decimal(reckoned.weights_bytes),
        "moving average": decimal(reckoned.average_bytes),
        "gradients, optimiser": decimal(reckoned.state_bytes),
        "kept for one video": decimal(reckoned.kept_bytes),
        "kept in a block that is computed again": decimal(reckoned.recomputed_bytes),
        "videos of a step": f"{reckoned.videos:,}",
        "memory of one GPU that takes them all": decimal(reckoned.memory_bytes(reckoned.videos)),
        "arithmetic of a step": f"{reckoned.videos * reckoned.flops / 1e12:,.3g} TFLOP",
        "arithmetic of the latents of a video, once": f"{reckoned.encoding_flops / 1e12:,.3g} TFLOP",
    }
    for what, value in rows.items():
        table.add_row(what, value)
    console.print(table)
    for gib, count in fitting.items():
        console.print(f"a GPU of {gib} GiB: " + (f"{count:,} videos at once" if count else "it does not fit"))
    if update_seconds is not None and machine is not None and prices is not None:
        hours = update_seconds * UPDATES_PRICED / 3600
        console.print(
            f"A step on {machine.gpus:,} GPUs of {machine.gpu_teraflops:g} TFLOP/s, of which {SHARE_OF_PEAK:.0%} are "
            f"assumed to be reached: {update_seconds:,.2f} s; {UPDATES_PRICED:,} steps: {hours:,.2f} hours, "
            f"{hours * machine.per_hour:,.2f} {prices.currency}",
            highlight=False,
            soft_wrap=True,
        )
    console.print(
        f"Reckoned, not measured: {SHARE_OF_MEMORY:.0%} of a GPU's memory is taken as usable. Processes on several "
        "GPUs (INTERNVID_PROCESSES) divide the videos of a step; each has to take its part at once.",
        highlight=False,
        soft_wrap=True,
    )


def _update_seconds(reckoned: "TrainingReckoning", machine: "Machine") -> float:
    assert machine.gpu_teraflops is not None, "a machine without a peak is refused before"
    return reckoned.videos * reckoned.flops / (machine.gpus * machine.gpu_teraflops * 1e12 * SHARE_OF_PEAK)


def _machine(prices_file: Path | None, kind: str | None) -> "tuple[Prices | None, Machine | None]":
    """Raises ValueError where the file has no machine of the kind, or of that no GPU with its peak."""
    from resources.corpus.estimate.prices import read_prices

    if prices_file is None:
        if kind is not None:
            raise ValueError("--kind is of a file of prices: give --prices FILE")
        return None, None
    prices = read_prices(prices_file)
    with_peak = [name for name, machine in prices.machines.items() if machine.gpus and machine.gpu_teraflops]
    if kind is None and len(with_peak) == 1:
        kind = with_peak[0]
    if kind is None or (kind in prices.machines and kind not in with_peak):
        there_are = ", ".join(with_peak) or "none"
        raise ValueError(f"--kind says which machines with GPUs; those with gpu_teraflops in the prices: {there_are}")
    return prices, prices.machine(kind)
