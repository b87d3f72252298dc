import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from internvid.viclip.preprocessing import Preprocessing, multi_scale_crop, random_crop
from internvid.viclip.recipes import RECIPES

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture
def video() -> np.ndarray:
    """Four frames of smooth colours with some detail, [4, 90, 160, 3]."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 90, 160, 3), dtype=np.uint8)
    return np.stack([cv2.GaussianBlur(frame, (5, 5), 0) for frame in noise])


def grey_levels(frames: torch.Tensor) -> np.ndarray:
    """[..., 3, h, w] normalised -> grey levels 0..255, channels last."""
    return np.moveaxis(frames.numpy(), -3, -1) * (255 * STD) + 255 * MEAN


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_frames_are_squashed_to_the_square_as_pillows_bicubic_does_and_normalised_by_imagenet(video):
    frames = Preprocessing(image_size=32).frames([video])
    assert frames.shape == (1, 4, 3, 32, 32)
    assert frames.dtype == torch.float32
    expected = np.stack(
        [np.asarray(Image.fromarray(frame).resize((32, 32), Image.Resampling.BICUBIC)) for frame in video]
    )
    assert np.abs(grey_levels(frames[0]) - expected).max() <= 2.01


def test_videos_of_several_sizes_stand_in_one_batch_each_as_if_alone(video):
    preprocessing = Preprocessing(image_size=48)
    tall = video.transpose(0, 2, 1, 3)
    together = preprocessing.frames([video, tall, video[:, :48, :48]])
    for row, alone in zip(together, [video, tall, video[:, :48, :48]], strict=True):
        assert torch.equal(row, preprocessing.frames([np.ascontiguousarray(alone)])[0])
    np.testing.assert_allclose(grey_levels(together[2]), video[:, :48, :48], atol=1e-3)


def test_read_only_and_mirrored_arrays_give_the_same(video):
    preprocessing = Preprocessing(image_size=32)
    expected = preprocessing.frames([video])
    mirrored = video[:, :, ::-1].copy()[:, :, ::-1]
    video.flags.writeable = False
    assert torch.equal(preprocessing.frames([video]), expected)
    assert torch.equal(preprocessing.frames([mirrored]), expected)


def test_one_crop_is_shared_by_the_frames_of_a_clip(video):
    still = np.repeat(video[:1], 4, axis=0)
    frames = Preprocessing(image_size=32).augmented(still, crop_scale=(0.5, 1), flip=True, generator=generator())
    assert (frames.shape, frames.dtype) == ((4, 3, 32, 32), torch.uint8)
    assert all(torch.equal(frame, frames[0]) for frame in frames)


def test_a_clips_crop_is_its_generators(video):
    preprocessing = Preprocessing(image_size=32)
    first, same_seed, another_seed = (
        preprocessing.augmented(video, crop_scale=(0.5, 1), flip=True, generator=generator(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, same_seed)
    assert not torch.equal(first, another_seed)


def test_half_of_the_clips_are_mirrored_where_wanted():
    # A ramp from left to right, of which a crop is one too.
    ramp = np.broadcast_to(np.arange(160, dtype=np.uint8)[None, None, :, None], (1, 90, 160, 3))
    preprocessing, drawing = Preprocessing(image_size=16), generator()

    def is_mirrored(flip: bool) -> bool:
        frames = preprocessing.augmented(ramp, crop_scale=(0.5, 1), flip=flip, generator=drawing)
        return bool(frames[0, 0, 0, 0] > frames[0, 0, 0, -1])

    assert not any(is_mirrored(False) for _ in range(20))
    assert 60 <= sum(is_mirrored(True) for _ in range(200)) <= 140


def test_an_augmented_clip_is_its_crop_resized(video):
    preprocessing = Preprocessing(image_size=32)
    top, left, height, width = random_crop(90, 160, scale=(0.3, 0.5), generator=generator(3))
    crop = np.ascontiguousarray(video[:, top : top + height, left : left + width])
    frames = preprocessing.augmented(video, crop_scale=(0.3, 0.5), flip=False, generator=generator(3))
    assert torch.equal(frames, preprocessing.pixels([crop])[0])
    assert torch.equal(preprocessing.normalised(frames), preprocessing.frames([crop])[0])


def test_crops_take_the_shares_and_aspects_that_they_may_and_reach_everywhere():
    drawing = generator()
    crops = np.array([random_crop(300, 400, scale=(0.2, 0.6), generator=drawing) for _ in range(3000)])
    top, left, height, width = crops.T
    shares, aspects = height * width / (300 * 400), width / height
    assert 0.19 < shares.min() < 0.21
    assert 0.58 < shares.max() < 0.61
    assert abs(shares.mean() - 0.4) < 0.01
    assert 0.73 < aspects.min() < 0.77
    assert 1.3 < aspects.max() < 1.36
    assert abs(np.log(aspects).mean()) < 0.02
    assert top.min() == left.min() == 0
    assert (top + height).max() == 300
    assert (left + width).max() == 400


def test_of_a_picture_too_narrow_for_any_crop_the_middle_is_taken():
    assert random_crop(400, 10, scale=(1, 1), generator=generator()) == (193, 0, 13, 10)
    assert random_crop(10, 400, scale=(1, 1), generator=generator()) == (0, 193, 10, 13)
    assert random_crop(1, 1, scale=(0.5, 0.5), generator=generator()) == (0, 0, 1, 1)


def test_a_multi_scale_crop_has_sides_of_the_shorter_one_at_thirteen_places():
    rng = generator()
    crops = [multi_scale_crop(240, 320, scale=(0.5, 1.0), generator=rng) for _ in range(4_000)]
    sides = (240, 200, 160, 120)
    pairs = {(height, width) for _, _, height, width in crops}
    assert pairs == {(sides[i], sides[j]) for i in range(4) for j in range(4) if abs(i - j) <= 1}
    places = {(top, left) for top, left, height, width in crops if (height, width) == (120, 120)}
    quarters = [(row, column) for row in (0, 2, 4) for column in (0, 2, 4)] + [(r, c) for r in (1, 3) for c in (1, 3)]
    assert places == {(120 * row // 4, 200 * column // 4) for row, column in quarters}
    with pytest.raises(ValueError, match=r"between 0\.5 and 2 of the shorter side"):
        multi_scale_crop(9, 9, scale=(0.5, 2), generator=rng)


def test_what_cannot_be_preprocessed_is_told(video):
    preprocessing = Preprocessing(image_size=32)
    for wrong in (video[0], video.astype(np.float32), video[..., :2], video[:0]):
        with pytest.raises(ValueError, match=r"\[time, height, width, 3\] uint8"):
            preprocessing.frames([wrong])
    with pytest.raises(ValueError, match=r"\[3, 4\] frames"):
        preprocessing.frames([video, video[:3]])
    with pytest.raises(ValueError, match="between 0 and 1"):
        random_crop(9, 9, scale=(0, 1), generator=generator())
    with pytest.raises(ValueError, match="std"):
        Preprocessing(std=(0, 1, 1))


def test_preprocessing_survives_json_and_comes_from_a_recipe():
    preprocessing = Preprocessing.from_recipe(RECIPES["viclip-tiny"])
    assert preprocessing == Preprocessing(
        RECIPES["viclip-tiny"].model.image_size, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    )
    assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.as_dict()))) == preprocessing
    with pytest.raises(ValueError, match="crop"):
        Preprocessing.from_dict({**preprocessing.as_dict(), "crop": 1})
