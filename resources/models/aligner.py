"""The active checkpoint, whose vectors the lake stores.

The table `active_checkpoint` names it, and only `activate` changes it: a newly trained checkpoint does not become
active automatically, because with it every vector and every similarity of the lake is recomputed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Optional

import dagster as dg
import numpy as np
import pyarrow as pa

from internvid.viclip.precision import precision_on
from resources.incremental.costs import starting
from resources.incremental.faults import ModelUnavailable
from resources.lake.schema import ACTIVE_CHECKPOINT, VECTOR_SIZE
from resources.lake.statements import statement
from resources.lake.store import Lake
from resources.models.machine import this_machine
from resources.training.checkpoint_files import local_folder

if TYPE_CHECKING:
    from internvid.video_text.folders import LoadedEncoder

ROLE = "aligner"
MIN_DISTINCT_INPUTS = 8  # inputs that differ, and to which no trained model gives one vector
FRAMES = "middle"  # of each of as many equal parts of the clip as the model takes frames, as the paper evaluates


@dataclass(frozen=True)
class ActiveCheckpoint:
    """checkpoint_id: its name. path: folder of its files. digest: of its weights, configuration and vocabulary."""

    checkpoint_id: str
    path: str
    digest: str


class Aligner(dg.ConfigurableResource):
    """Embeds clips and captions by the active checkpoint: a ViCLIP, or a CLIP-like model of `transformers`.

    device: as torch names it; auto takes a GPU if available. precision: of the computation, and part of a vector's
    version; auto: bfloat16 on a GPU, float32 on a CPU. clips_per_call: clips in a forward pass; null: as many as the
    GPU's memory takes, 16 on a CPU.
    """

    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    clips_per_call: Optional[int] = None  # noqa: UP045 - Dagster's config knows no other union

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
        return f"{active.checkpoint_id}+{active.digest[:8]}+{FRAMES}-frames{self.precision_suffix}"

    @property
    def on_gpu(self) -> bool:
        """Whether models run on a GPU. Does not import torch: the code location asks it."""
        return _device_type(self.device) == "cuda"

    @property
    def resolved_precision(self) -> Literal["float32", "bfloat16"]:
        return precision_on(_device_type(self.device), self.precision)

    @property
    def precision_suffix(self) -> str:
        """The part of a version that names the precision: vectors of two precisions are never mixed unseen."""
        return "" if self.resolved_precision == "float32" else f"+{self.resolved_precision}"

    @property
    def clips_per_chunk(self) -> int:
        """Clips that are embedded and committed together: on a GPU so many that its waits at both ends are short."""
        return 512 if self.on_gpu else 64

    def vector_weight(self, lake: Lake, active: ActiveCheckpoint) -> float:
        """The weight of a ranking by its vectors beside one by words: it grows with the model's recall on held-out
        clips, from 0 (no better than by chance) to 1.
        """
        about = {"checkpoint_id": active.checkpoint_id}
        proved = lake.query(statement("training/proved_recall"), about)["share"].to_pylist()
        return proved[0] if proved else 1.0  # a model from elsewhere, not measured here

    def active_weight(self, lake: Lake) -> float:
        """`vector_weight` of the active checkpoint; 0 where none is active."""
        active = self.active(lake)
        return self.vector_weight(lake, active) if active else 0.0

    def text_vector(self, lake: Lake, active: ActiveCheckpoint, text: str) -> np.ndarray:
        """The text's vector, [VECTOR_SIZE] float32: a search compares it with those of clips."""
        return padded(self.encoder(lake, active).encode_texts([text])[0])

    def encoder(self, lake: Lake, active: ActiveCheckpoint) -> LoadedEncoder:
        """Returns the loaded model; kept, so that each call of a stage does not load it again.

        Raises ModelUnavailable where its folder is gone or holds other weights than were activated.
        """
        try:
            with starting():
                return _encoder(
                    str(local_folder(lake, active.path)), active.digest, self.device, self.resolved_precision
                )
        except (FileNotFoundError, ValueError) as error:
            raise ModelUnavailable(str(error)) from error


def padded(vector: np.ndarray) -> np.ndarray:
    """Pads the vector with zeros to [VECTOR_SIZE] float32. Raises ValueError for a larger vector."""
    if len(vector) > VECTOR_SIZE:
        raise ValueError(f"the model's vectors have {len(vector)} dimensions, more than the lake's {VECTOR_SIZE}")
    return np.pad(vector, (0, VECTOR_SIZE - len(vector))).astype(np.float32)


def require_telling_apart(active: ActiveCheckpoint, vectors: np.ndarray, inputs: Iterable[object]) -> None:
    """Raises ModelUnavailable where vectors [n, width] are not finite, or all equal though many inputs differ.

    inputs: n hashable values, one for each vector. They are asked for only where all vectors are equal.
    """
    problem = None
    is_one_vector = len(vectors) >= MIN_DISTINCT_INPUTS and np.ptp(vectors, axis=0).max() == 0
    if not np.isfinite(vectors).all():
        problem = "vectors that are not finite"
    elif is_one_vector and len(set(inputs)) >= MIN_DISTINCT_INPUTS:
        problem = f"the same vector to {len(vectors)} inputs that differ"
    if problem:
        raise ModelUnavailable(
            f"the checkpoint {active.checkpoint_id} gives {problem}. None of them was stored: "
            "`internvid activate` chooses another checkpoint"
        )


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


@lru_cache
def _device_type(device: str) -> str:
    return this_machine().device_named(device).partition(":")[0]


@lru_cache(maxsize=1)
def _encoder(folder: str, digest: str, device: str, precision: Literal["float32", "bfloat16"]) -> LoadedEncoder:
    from internvid.viclip.device import device_named
    from internvid.video_text.folders import encoder_digest, load_encoder

    present = encoder_digest(Path(folder))
    if present != digest:
        raise ValueError(
            f"{folder} is not the checkpoint that was activated: its files have changed; activate it again"
        )
    encoder = load_encoder(Path(folder), device_named(device), precision=precision)
    if encoder.width > VECTOR_SIZE:
        raise ValueError(f"the model's vectors have {encoder.width} dimensions, more than the lake's {VECTOR_SIZE}")
    return encoder
