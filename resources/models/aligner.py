"""The active checkpoint, whose vectors the lake stores.

The table `active_checkpoint` names it, and only `activate` changes it: a newly trained checkpoint does not become
active automatically, because with it every vector and every similarity of the lake is recomputed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa

from resources.incremental.costs import starting
from resources.incremental.faults import ModelUnavailable
from resources.lake.schema import ACTIVE_CHECKPOINT
from resources.lake.store import Lake
from resources.training.checkpoint_files import local_folder

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
    """Embeds clips and captions by the active checkpoint. device: as torch names it; auto takes a GPU if available."""

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
        """The version of a vector: a change recomputes it."""
        return f"{active.checkpoint_id}+{active.digest[:8]}+{FRAMES}-frames"

    def encoder(self, lake: Lake, active: ActiveCheckpoint) -> Encoder:
        """Returns the loaded model; kept, so that each call of a stage does not load it again.

        Raises ModelUnavailable where its folder is gone or holds other weights than were activated.
        """
        try:
            with starting():
                return _encoder(str(local_folder(lake, active.path)), active.digest, self.device)
        except (FileNotFoundError, ValueError) as error:
            raise ModelUnavailable(str(error)) from error


def activate(lake: Lake, checkpoint: ActiveCheckpoint) -> None:
    """Makes the checkpoint the active one. The next run recomputes the vectors of any other checkpoint."""
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

    present = checkpoint_digest(Path(folder))
    if present != digest:
        raise ValueError(
            f"{folder} is not the checkpoint that was activated: its files have changed; activate it again"
        )
    return Encoder(load_checkpoint(Path(folder)), device_named(device))
