"""Embeds clips and texts with a model in the layout of open_clip, such as Perception Encoder (PE-Core) as timm has it.

Needs the extra `open-clip`. Each chosen frame is seen by itself; a clip's vector is the mean of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from internvid.viclip.initial_clip import OPEN_CLIP_CONFIG, model_config, part_of
from internvid.viclip.precision import Precision
from internvid.video_text.frame_encoder import FRAMES, FrameEncoder

PLAIN_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)?")  # of a model of timm: no address that could be fetched


class OpenClipEncoder(FrameEncoder):
    """An encoder of a folder with open_clip_config.json and weights as safetensors.

    Raises ValueError for a configuration that refers to other models, for weights in no safetensors, and where
    open_clip is not installed.
    """

    def __init__(
        self,
        folder: Path,
        device: str | torch.device = "cpu",
        *,
        frames: int | None = None,
        precision: Precision = "auto",
    ) -> None:
        require_self_contained(folder)
        try:
            import open_clip
        except ModuleNotFoundError as error:
            raise ValueError(
                f"{folder} is read by open_clip, which is not installed: pip install 'internvid-lakehouse[open-clip]'"
            ) from error
        name = f"local-dir:{folder}"
        model, self.transform = open_clip.create_model_from_pretrained(name, weights_only=True)
        self.tokenizer = open_clip.get_tokenizer(name)
        self.model = model.to(device).eval()
        super().__init__(device, frames or FRAMES, precision)

    @property
    def context_length(self) -> int:
        return int(self.model.context_length)

    def full_texts(self, texts: Sequence[str]) -> int:
        return int((self.tokenizer(list(texts))[:, -1] != 0).sum())

    def _inputs(self, videos: Sequence[np.ndarray]) -> dict[str, Tensor]:
        pictures = [self.transform(Image.fromarray(frame)) for video in videos for frame in video]
        return {"image": torch.stack(pictures)}

    @torch.inference_mode()
    def _embedded(self, inputs: dict[str, Tensor]) -> Tensor:
        with self._autocast():
            return self._mean_of_frames(self.model.encode_image(inputs["image"].to(self.device)))

    @torch.inference_mode()
    def _embedded_texts(self, texts: Sequence[str]) -> np.ndarray:
        features = self.model.encode_text(self.tokenizer(list(texts)).to(self.device))
        return functional.normalize(features.float(), dim=1).cpu().numpy()


def require_self_contained(folder: Path) -> None:
    """Raises ValueError unless the folder has all that it needs: nothing is fetched, and no file can hold a program."""
    if not any(folder.glob("*.safetensors")):
        raise ValueError(f"{folder} has no weights as safetensors, and other files can hold programs")
    config = model_config(folder)
    vision, text = part_of(config, "vision_cfg"), part_of(config, "text_cfg")
    elsewhere = [name for name in text if name.startswith("hf_")]
    timm_name = vision.get("timm_model_name")
    if timm_name is not None and PLAIN_NAME.fullmatch(str(timm_name)) is None:
        elsewhere.append("timm_model_name")
    if vision.get("timm_model_pretrained"):
        elsewhere.append("timm_model_pretrained")
    if elsewhere:
        raise ValueError(
            f"{folder / OPEN_CLIP_CONFIG} refers to other models by {', '.join(elsewhere)}; these are not fetched"
        )
