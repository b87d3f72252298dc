"""Models in the layout of open_clip, such as PE-Core: what is refused, and, where it is installed, their vectors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_scorers import picture
from torch.nn.functional import normalize

from internvid.video_text.folders import encoder_digest, load_encoder

# PE-Core's smallest vision tower with a small text tower.
MODEL: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {
        "image_size": 384,
        "timm_model_name": "vit_pe_core_tiny_patch16_384",
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": None,
    },
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    "custom_text": True,
}
PREPROCESSING = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"}


def write(folder: Path, **changes: dict[str, Any]) -> Path:
    folder.mkdir()
    model = MODEL | {part: MODEL[part] | change for part, change in changes.items()}
    content = {"model_cfg": model, "preprocess_cfg": PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    save_file({"some": torch.zeros(1)}, folder / "open_clip_model.safetensors")
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {"text_cfg": {"hf_model_name": "somebody/text"}},
        {"text_cfg": {"hf_tokenizer_name": "somebody/text"}},
        {"vision_cfg": {"timm_model_name": "hf-hub:somebody/vision"}},
        {"vision_cfg": {"timm_model_pretrained": True}},
    ],
)
def test_a_configuration_that_refers_to_other_models_is_refused(tmp_path, changes):
    ((part, change),) = changes.items()
    with pytest.raises(ValueError, match=f"refers to other models by {next(iter(change))}"):
        load_encoder(write(tmp_path / "model", **{part: change}))


def test_weights_in_files_that_can_hold_programs_and_damaged_settings_are_refused(tmp_path):
    folder = write(tmp_path / "model")
    (folder / "open_clip_config.json").write_text("[]")
    with pytest.raises(ValueError, match="no configuration of open_clip"):
        load_encoder(folder)
    (folder / "open_clip_model.safetensors").rename(folder / "open_clip_pytorch_model.bin")
    with pytest.raises(ValueError, match="no weights as safetensors"):
        load_encoder(folder)


def test_a_perception_encoder_gives_the_mean_of_its_frames_vectors(tmp_path):
    open_clip = pytest.importorskip("open_clip", reason="the extra `open-clip` is not installed")
    folder = write(tmp_path / "pe")
    torch.manual_seed(0)
    (tmp_path / "name.json").write_text(json.dumps(MODEL))
    open_clip.add_model_config(tmp_path / "name.json")
    model = open_clip.create_model("name").eval()
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    encoder = load_encoder(folder, frames=3)
    assert (encoder.frames, encoder.width, encoder.context_length) == (3, 32, 32)
    videos = [np.stack([picture(10 * number + frame) for frame in range(3)]) for number in range(2)]
    vectors = encoder.encode_videos(videos)
    with torch.inference_mode():
        for video, vector in zip(videos, vectors, strict=True):
            pixels = torch.tensor(video).permute(0, 3, 1, 2).float()
            small = torch.nn.functional.interpolate(pixels, (384, 384), mode="bilinear", antialias=True)
            features = normalize(model.encode_image(small.round() / 127.5 - 1), dim=1)
            expected = normalize(features.mean(0), dim=0)
            np.testing.assert_allclose(vector, expected, atol=0.01)  # resized by torch instead of Pillow
        tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(["a dog", "two cats"])
        expected = normalize(model.encode_text(tokens), dim=1)
    np.testing.assert_allclose(encoder.encode_texts(["a dog", "two cats"]), expected, atol=1e-5)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.02
    assert encoder.full_texts(["a dog", "so " * 40]) == 1
    before = encoder_digest(folder)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": MODEL}))
    assert encoder_digest(folder) != before
