"""The clips of a subset as a data set for training: for those who train their own model on the lake itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from resources.corpus.held_out import clips_to_train_on
from resources.incremental.provenance import digest
from resources.lake.statements import statement
from resources.training.checkpoint_files import training_folder
from resources.training.lake_clips import LakeClips, index_clips
from resources.training.video_clips import VideoClips

if TYPE_CHECKING:
    import pyarrow as pa

    from internvid.data import ClipBatch, ClipDataset, EpochBatch
    from resources.lake.store import Lake


def clip_dataset(
    lake: Lake,
    subset: str,
    *,
    snapshot: str | None = None,
    split: str = "train",
    batch_size: int = 64,
    frames: int = 8,
    size: int = 224,
    seed: int = 0,
    epochs: int | None = 1,
    decode_videos: bool = False,
    by_weight: bool = False,
    drop_last: bool = False,
    first_step: int = 0,
    rank: int | None = None,
    ranks: int | None = None,
) -> ClipDataset[EpochBatch, ClipBatch]:
    """Returns the clips of the subset as batches of frames; see `internvid.data`.

    snapshot: the snapshot whose rows are read; None: the one that the subset was selected from. split: train (without
    the videos that models of this lake are measured on), validation or test. decode_videos: frames are those of the
    videos, and not the stored ones: see `resources.training.video_clips`. by_weight: clips are drawn by the weights
    that the subset gave them. batch_size: of all ranks together. frames, size: of a sample, the latter in pixels.
    seed, epochs, drop_last, first_step, rank, ranks: as of `Epochs` and `ClipDataset`.
    The index of the clips is kept on a disk of this machine, beside the states of trainings; it is made once for a
    subset, snapshot and split, by whichever process comes first, and removed when one of its videos is forgotten.
    Raises ValueError for a subset that has not been made, or that has no such clip.
    """
    from internvid.data import ClipBatches, ClipDataset, Epochs

    stored = subset_clips(lake, subset, snapshot=snapshot, split=split, short_side=size)
    clips = VideoClips(lake, stored, stored.snapshot) if decode_videos else stored
    return ClipDataset(
        Epochs(clips, batch_size=batch_size, seed=seed, epochs=epochs, drop_last=drop_last, by_weight=by_weight),
        ClipBatches(clips, frames=frames, size=size, seed=seed),
        rank=rank,
        ranks=ranks,
        first_step=first_step,
    )


def subset_clips(
    lake: Lake,
    subset: str,
    *,
    snapshot: str | None = None,
    split: str = "train",
    short_side: int | None = None,
) -> LakeClips:
    """Returns the clips of the subset, with their weights, as `clip_dataset` says. short_side: as of `LakeClips`."""
    from filelock import FileLock

    made = lake.query(
        "select snapshot, provenance from subset_snapshots where subset = $subset",
        {"subset": subset},
        tables=["subset_snapshots"],
    ).to_pylist()
    if not made:
        raise ValueError(f"the subset {subset!r} has not been made yet: `internvid subset make {subset}`")
    snapshot = snapshot or made[0]["snapshot"]
    name = digest(lake.root, subset, made[0]["snapshot"], made[0]["provenance"], snapshot, split)
    folder = training_folder(lake, f"{subset}-{split}-{name[:16]}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "clips.arrow"
    with FileLock(folder / "index.lock"):
        if not path.exists():
            chosen = _clips_of(lake, subset, snapshot, split)
            if not len(chosen):
                raise ValueError(f"the subset {subset!r} has no clip in {split}")
            # By this file the folder is known as this lake's, when something is forgotten.
            about = {"lake": {"root": lake.root}, "subset": subset, "snapshot": snapshot, "split": split}
            (folder / "config.json").write_text(json.dumps(about))
            index_clips(lake, chosen["clip_id"], path, snapshot=snapshot, weights=chosen["weight"])
    return LakeClips(lake, path, snapshot, short_side=short_side)


def _clips_of(lake: Lake, subset: str, snapshot: str, split: str) -> pa.Table:
    if split == "train":
        return clips_to_train_on(lake, subset, snapshot)[0]
    return lake.query(statement("training/clips_of_split"), {"subset": subset, "split": split}, tables=["subsets"])
