"""CLIP-like models of others: vectors are those of their own classes and processors, and no foreign code is run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tiny_scorers import picture, tiny_clip, tiny_siglip
from tiny_video_text import FRAMES, tiny_siglip_2, tiny_transformers_viclip, tiny_x_clip
from torch.nn.functional import normalize

from internvid.viclip.encoder import Encoder
from internvid.viclip.frame_choice import middle_frames
from internvid.viclip.preprocessing import Preprocessing
from internvid.video_text.folders import encoder_digest, load_encoder
from internvid.video_text.transformers_encoder import TransformersEncoder

MODELS = {"clip": tiny_clip, "siglip": tiny_siglip, "siglip2": tiny_siglip_2, "xclip": tiny_x_clip}
TEXTS = ["A dog, running!", "two cats", "a very long text that no model reads to its end"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: make(root / name) for name, make in MODELS.items()}


def videos() -> list[np.ndarray]:
    """Of other numbers of frames and other shapes: one has fewer frames than a model takes."""
    shapes = [(11, 48, 64), (3, 64, 40), (8, 32, 32)]
    return [
        np.stack([picture(100 * number + frame, height, width) for frame in range(count)])
        for number, (count, height, width) in enumerate(shapes)
    ]


@torch.inference_mode()
def expected_videos(model_type: str, folder: Path, frames: int) -> np.ndarray:
    """By the model's class and the processor of its folder, video by video."""
    model = transformers.AutoModel.from_pretrained(folder).eval()
    vectors = []
    for video in videos():
        chosen = [video[position] for position in middle_frames(len(video), frames)]
        if model_type == "xclip":
            processor = transformers.VideoMAEImageProcessorPil.from_pretrained(folder)
            features = model.get_video_features(processor(chosen, return_tensors="pt")["pixel_values"]).pooler_output
            vectors.append(normalize(features, dim=1)[0])
            continue
        processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
        each = [
            model.get_image_features(**processor(images=[frame], return_tensors="pt")).pooler_output for frame in chosen
        ]
        vectors.append(normalize(normalize(torch.cat(each), dim=1).mean(0), dim=0))
    return torch.stack(vectors).numpy()


@torch.inference_mode()
def expected_texts(folder: Path) -> np.ndarray:
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    places = model.config.text_config.max_position_embeddings
    vectors = []
    for text in TEXTS:
        tokens = tokenizer([text], padding="max_length", truncation=True, max_length=places, return_tensors="pt")
        vectors.append(normalize(model.get_text_features(**tokens).pooler_output, dim=1)[0])
    return torch.stack(vectors).numpy()


# X-CLIP's frames are resized by torch instead of Pillow: up to two grey levels of 255 apart.
@pytest.mark.parametrize(
    ("model_type", "tolerance"), [("clip", 1e-5), ("siglip", 1e-5), ("siglip2", 1e-5), ("xclip", 0.01)]
)
def test_vectors_are_those_of_the_models_own_class_and_processor(folders, model_type, tolerance):
    encoder = load_encoder(folders[model_type])
    assert isinstance(encoder, TransformersEncoder)
    frames = FRAMES if model_type == "xclip" else 8
    assert encoder.frames == frames
    vectors = encoder.encode_videos(videos(), batch_size=2)
    np.testing.assert_allclose(vectors, expected_videos(model_type, folders[model_type], frames), atol=tolerance)
    assert np.ptp(vectors, axis=0).max() > 5 * tolerance
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), expected_texts(folders[model_type]), atol=1e-5)
    assert encoder.width == vectors.shape[1]
    assert encoder.full_texts(TEXTS) == 1


def test_clips_are_read_by_their_chosen_frames_only(folders):
    asked = []

    class Stored:
        frame_counts = np.array([len(video) for video in videos()], np.int32)

        def frames(self, picks):
            asked.extend(picks)
            return [videos()[clip][list(positions)] for clip, positions in picks]

    encoder = load_encoder(folders["clip"], frames=4)
    vectors = encoder.encode_clips(Stored(), [2, 0], batch_size=1)
    assert asked == [(2, middle_frames(8, 4)), (0, middle_frames(11, 4))]
    np.testing.assert_allclose(vectors, encoder.encode_videos([videos()[2], videos()[0]]), atol=1e-5)
    assert encoder.use().peak_share is None
    assert encoder.encode_clips(Stored(), []).shape == (0, encoder.width)


def test_a_viclip_in_the_layout_of_transformers_is_read_with_its_own_constants_and_tokens(tmp_path):
    folder, model = tiny_transformers_viclip(tmp_path / "bvd")
    encoder = load_encoder(folder)
    assert isinstance(encoder, Encoder)
    assert encoder.context_length == 77
    mean, std = (transformers.image_utils.OPENAI_CLIP_MEAN, transformers.image_utils.OPENAI_CLIP_STD)
    assert encoder.preprocessing == Preprocessing(32, tuple(mean), tuple(std), fit="crop")
    (video,) = videos()[2:]
    pixels = (torch.tensor(video).permute(0, 3, 1, 2)[None] / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(
        std
    )[:, None, None]
    with torch.inference_mode():
        expected = normalize(model.eval().encode_video(pixels), dim=1).numpy()
    np.testing.assert_allclose(encoder.encode_videos([video]), expected, atol=1e-5)


def test_a_digest_names_weights_settings_and_vocabulary(folders, tmp_path):
    digests = {encoder_digest(folder) for folder in folders.values()}
    assert len(digests) == len(MODELS)
    folder = tiny_clip(tmp_path / "another name")
    assert encoder_digest(folder) == encoder_digest(folders["clip"])
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | {"image_std": [0.5, 0.5, 0.5]}))
    changed = encoder_digest(folder)
    assert changed != encoder_digest(folders["clip"])
    assert encoder_digest(tiny_clip(tmp_path / "seed", seed=1)) not in {changed, encoder_digest(folders["clip"])}
    bvd, _ = tiny_transformers_viclip(tmp_path / "bvd")
    before = encoder_digest(bvd)
    (bvd / "preprocessor_config.json").write_text(
        (bvd / "preprocessor_config.json").read_text().replace("shortest_edge", "longest_edge")
    )
    assert encoder_digest(bvd) != before


def test_weights_in_files_that_can_hold_programs_are_refused(tmp_path):
    folder = tiny_clip(tmp_path / "clip")
    weights = folder / "model.safetensors"
    torch.save(transformers.CLIPModel.from_pretrained(folder).state_dict(), folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ValueError, match="no weights as safetensors"):
        load_encoder(folder)


def test_code_that_comes_with_a_model_is_not_run(tmp_path):
    folder = tiny_clip(tmp_path / "clip")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "modeling.Config", "AutoModel": "modeling.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').write('it ran')")
    assert load_encoder(folder).encode_texts(["a"]).shape == (1, 16)
    assert not (tmp_path / "ran").exists()


def test_x_clip_reads_as_many_frames_as_it_was_made_for_and_damage_is_named(folders, tmp_path):
    with pytest.raises(ValueError, match="reads 4 frames of a clip, not 8"):
        load_encoder(folders["xclip"], frames=8)
    folder = tiny_clip(tmp_path / "clip")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises((ValueError, OSError)):
        load_encoder(folder).encode_videos(videos())
    (folder / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="not the weights of a ViCLIP"):
        load_encoder(folder)
