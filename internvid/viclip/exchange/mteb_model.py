"""A checkpoint as a model of `mteb`, whose tasks of videos and texts then run with it. Needs the extra `mteb`.

    import mteb
    from internvid.viclip.exchange.mteb_model import mteb_model

    mteb.evaluate(mteb_model(folder), tasks=mteb.get_tasks(["MSRVTTT2V"]))

Videos are decoded by this package, not by `torchcodec`, so that the frames are those that the paper evaluates with: the
middle of each of as many equal parts of the video as the model takes frames.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta, ScoringFunction

from internvid.batches import in_batches
from internvid.evaluation.decode import read_frames
from internvid.viclip.checkpoint import checkpoint_digest, load_checkpoint
from internvid.viclip.device import device_named
from internvid.viclip.encoder import TEXTS_PER_BATCH, VIDEOS_PER_BATCH, Encoder

CHOICE = "middle"


class MtebModel(AbsEncoder):
    """Embeds the rows of a task that have a text, a video, or both; then their vectors are added."""

    def __init__(self, model_name: str, revision: str | None = None, *, device: str | None = None, **others: Any):
        """model_name: the checkpoint's folder, as `mteb` passes it on."""
        self.encoder = Encoder(load_checkpoint(Path(model_name)), device_named(device or "auto"))

    def encode(
        self, inputs: Any, *, task_metadata: Any, hf_split: str, hf_subset: str, prompt_type: Any = None, **others: Any
    ) -> np.ndarray:
        """inputs: a data loader of a task. Returns [rows, d]. Raises ValueError for rows of neither kind."""
        rows = inputs.dataset
        columns = rows.column_names
        parts = []
        if "text" in columns:
            texts = in_batches((row["text"] for row in rows.select_columns(["text"])), TEXTS_PER_BATCH)
            parts.append(np.concatenate([self.encoder.encode_texts(batch) for batch in texts]))
        if "video" in columns:
            videos = in_batches(_videos(rows, self.encoder.frames), VIDEOS_PER_BATCH)
            parts.append(np.concatenate([self.encoder.encode_videos(batch) for batch in videos]))
        if not parts:
            raise ValueError(f"{task_metadata.name} has columns {', '.join(columns)}, but neither text nor video")
        return np.sum(parts, axis=0)


def mteb_model(folder: str | Path, *, device: str = "auto") -> MtebModel:
    """Loads a checkpoint's folder for `mteb`, with the metadata that its results are filed by."""
    path = Path(folder).resolve()
    model = MtebModel(str(path), device=device)
    config = model.encoder.model.config
    model.mteb_model_meta = ModelMeta.create_empty(
        {
            "name": f"internvid/{path.name}",
            "revision": checkpoint_digest(path)[:12],
            "modalities": ["video", "text"],
            "n_parameters": sum(parameter.numel() for parameter in model.encoder.model.parameters()),
            "embed_dim": config.embed_dim,
            "max_tokens": config.context_length,
            "similarity_fn_name": ScoringFunction.COSINE,
            "framework": ["PyTorch", "safetensors"],
        }
    )
    return model


def _videos(rows: Any, frames: int) -> Iterator[np.ndarray]:
    """Yields [frames, height, width, 3] uint8 of each row. The column's own decoder is turned off."""
    from datasets import Video

    undecoded = rows.select_columns(["video"]).cast_column("video", Video(decode=False))
    for row in undecoded:
        yield _frames(row["video"], frames)


def _frames(video: Mapping[str, Any], frames: int) -> np.ndarray:
    if video["bytes"] is None:
        return read_frames(video["path"], None, None, frames, CHOICE)
    with tempfile.NamedTemporaryFile(suffix=Path(video["path"] or "video.mp4").suffix) as file:
        file.write(video["bytes"])
        file.flush()
        return read_frames(file.name, None, None, frames, CHOICE)
