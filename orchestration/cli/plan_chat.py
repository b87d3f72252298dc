"""`internvid plan --chat`: what a training step of a chat takes of a GPU, reckoned without one."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table as TextTable

from orchestration.cli.options import existing
from orchestration.cli.output import console

if TYPE_CHECKING:
    from internvid.viclip.config import ViCLIPConfig
    from orchestration.cli.session import Session

GPU_GIB = (24, 40, 80, 141)  # memory of common GPUs


def plan_chat(recipe_name: str, *, lake: str | None, as_json: bool) -> None:
    """Prints weights, memory and arithmetic of a step of each phase, and how many dialogues at once fit into GPUs.

    Raises typer.BadParameter for an unknown recipe, and for a language model that is not set or not there.
    """
    from internvid.dialogue.recipe import CHAT_RECIPES
    from internvid.dialogue.reckoning import SHARE_OF_MEMORY, fitting_sequences, language_config_of, reckoned_phases

    if recipe_name not in CHAT_RECIPES:
        raise typer.BadParameter(f"there is no recipe of a chat {recipe_name!r}; there are {', '.join(CHAT_RECIPES)}")
    session = existing(lake)
    recipe = session.resources["trainer"].chat_as_trained(CHAT_RECIPES[recipe_name])
    try:
        vision, seen_by = _vision(session)
        phases = reckoned_phases(recipe, vision, language_config_of(recipe))
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from error
    fitting = {gib: fitting_sequences(phases, gib * 2**30 * SHARE_OF_MEMORY) for gib in GPU_GIB}
    if as_json:
        plain: dict[str, Any] = {"recipe": recipe.version, "vision": seen_by, "fitting": fitting}
        typer.echo(json.dumps(plain | {"phases": [asdict(phase) for phase in phases]}, indent=2))
        return
    table = TextTable(
        "phase",
        "weights",
        "trained",
        "batch",
        "weights in memory",
        "gradients, optimiser",
        "kept for one dialogue",
        "arithmetic of a step",
        title=escape(f"{recipe.version}, which sees by {seen_by}; dialogues of up to {phases[0].tokens:,} tokens"),
        title_justify="left",
    )
    for phase in phases:
        table.add_row(
            phase.phase,
            f"{phase.parameters:,}",
            f"{phase.trained:,}",
            f"{phase.sequences:,}",
            decimal(phase.weights_bytes),
            decimal(phase.state_bytes),
            decimal(phase.kept_bytes // phase.sequences),
            f"{phase.flops / 1e12:,.2f} TFLOP",
        )
    console.print(table)
    for gib, count in fitting.items():
        console.print(f"a GPU of {gib} GiB: " + (f"{count:,} dialogues at once" if count else "it does not fit"))
    console.print(
        f"Reckoned, not measured: {SHARE_OF_MEMORY:.0%} of a GPU's memory is taken as usable. A batch that does not "
        "fit is computed in slices, with the same result.",
        highlight=False,
        soft_wrap=True,
    )


def _vision(session: "Session") -> "tuple[ViCLIPConfig, str]":
    """Returns the configuration of the active ViCLIP, or of ViCLIP-L/14 where there is none, and its name."""
    from internvid.viclip.checkpoint import load_checkpoint
    from internvid.viclip.recipes import RECIPES
    from internvid.video_text.folders import is_of_others
    from resources.training.checkpoint_files import local_folder

    active = session.resources["aligner"].active(session.lake)
    if active is not None and not is_of_others(folder := local_folder(session.lake, active.path)):
        return load_checkpoint(folder).model.config, active.checkpoint_id
    return RECIPES["viclip-l14"].model, "ViCLIP-L/14, as none is active"
