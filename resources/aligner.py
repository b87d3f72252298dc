"""The door to the model whose vectors the lake holds: the active checkpoint.

Which checkpoint that is stands in the table `active_checkpoint`, changed only by `activate`: a newly trained one does
not replace it by itself, for with it every vector and every score of the lake is made anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa

from resources.checkpoint_files import local_folder
from resources.lake import Lake
from resources.schema import ACTIVE_CHECKPOINT

if TYPE_CHECKING:
    from internvid.viclip.encoder import Encoder

ROLE = "aligner"
FRAMES = "middle"  # of each of as many equal parts of the clip as the model takes frames, as the paper evaluates


@dataclass(frozen=True)
class ActiveCheckpoint:
    """checkpoint_id: its name. path: folder of its files. digest: of its weights, configuration and vocabulary."""

    checkpoint_id: str
    path: str
    digest: str


class Aligner(dg.ConfigurableResource):
    """Vectors of clips and captions by the active checkpoint. device: as torch names it; auto takes a GPU if any."""

    device: str = "auto"
    clips_per_call: int = 16

    def active(self, lake: Lake) -> ActiveCheckpoint | None:
        """The active checkpoint; None until one was trained or named."""
        rows = lake.query(
            "select checkpoint_id, path, provenance as digest from active_checkpoint where role = $role",
            {"role": ROLE},
            tables=[ACTIVE_CHECKPOINT.name],
        ).to_pylist()
        return ActiveCheckpoint(**rows[0]) if rows else None

    def version(self, active: ActiveCheckpoint) -> str:
        """Decides whether a vector has to be made anew."""
        return f"{active.checkpoint_id}+{active.digest[:8]}+{FRAMES}-frames"

    def encoder(self, lake: Lake, active: ActiveCheckpoint) -> Encoder:
        """The loaded model; kept, so that each call of a step does not load it again."""
        return _encoder(str(local_folder(lake, active.path)), active.digest, self.device)


def activate(lake: Lake, checkpoint: ActiveCheckpoint) -> None:
    """Makes this the checkpoint whose vectors the lake holds. Vectors by another are made anew by the next run."""
    row = {
        "role": ROLE,
        "checkpoint_id": checkpoint.checkpoint_id,
        "path": checkpoint.path,
        "provenance": checkpoint.digest,
        "written_at": datetime.now(UTC),
    }
    lake.upsert(ACTIVE_CHECKPOINT.name, pa.Table.from_pylist([row], schema=ACTIVE_CHECKPOINT.arrow))


@lru_cache(maxsize=1)
def _encoder(folder: str, digest: str, device: str) -> Encoder:
    from internvid.viclip.checkpoint import checkpoint_digest, load_checkpoint
    from internvid.viclip.device import device_named
    from internvid.viclip.encoder import Encoder

    found = checkpoint_digest(Path(folder))
    if found != digest:
        raise ValueError(
            f"{folder} is not the checkpoint that was activated: its files have changed; activate it again"
        )
    return Encoder(load_checkpoint(Path(folder)), device_named(device))
