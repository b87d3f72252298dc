"""`internvid export-model`: a checkpoint as a folder that `transformers`, ONNX Runtime or torch alone loads."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestration.cli.models import folder_of
from orchestration.cli.options import LakeOption
from orchestration.cli.output import console


class ModelForm(StrEnum):
    """The forms of `internvid.viclip.exchange.folders`, which is imported where it is used."""

    transformers = "transformers"
    onnx = "onnx"
    torch = "torch"


def export_model(
    checkpoint: Annotated[str, typer.Argument(help="An id of the table checkpoints, or a checkpoint's folder.")],
    out: Annotated[Path, typer.Argument(help="The folder to write; it must not exist, or be empty.")],
    form: Annotated[
        ModelForm,
        typer.Option(help="transformers: for AutoModel. onnx, torch: both towers, which need nothing of this package."),
    ] = ModelForm.transformers,
    lake: LakeOption = None,
) -> None:
    """Write a checkpoint in a form that others load, and compare its vectors with the checkpoint's."""
    from internvid.viclip.checkpoint import load_checkpoint
    from internvid.viclip.exchange.folders import export_checkpoint

    try:
        exported = export_checkpoint(load_checkpoint(folder_of(checkpoint, lake)), form.value, out)
    except (FileNotFoundError, FileExistsError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    console.print(
        f"{out}: {form.value}, {size:,.1f} MB; the vectors of clips of noise and of texts differ from the checkpoint's "
        f"by {exported.max_difference:.1e} at most",
        markup=False,
        highlight=False,
    )
