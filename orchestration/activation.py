"""Making a checkpoint the active one: by hand, for with it every vector of the lake is made anew."""

import dagster as dg

from assets.active_checkpoint import activate_named
from resources.aligner import Aligner
from resources.lake import Lake


class Activation(dg.Config):
    """checkpoint: an id of the table checkpoints, or a checkpoint's folder."""

    checkpoint: str


@dg.op(out=dg.Out(dg.Nothing))
def activate_it(context: dg.OpExecutionContext, config: Activation, lake: Lake, aligner: Aligner) -> None:
    """Activates the checkpoint and says so to Dagster, which then shows the vectors as stale."""
    activate_named(context.instance, lake, aligner, config.checkpoint)


@dg.job(description="Makes a checkpoint the active one. Vectors by another are made anew by the next `ingest`.")
def activate_checkpoint() -> None:
    activate_it()
