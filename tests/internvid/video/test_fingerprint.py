"""The changes that a frame's hash survives, and the pictures that it distinguishes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from internvid.video.fingerprint import (
    BITS,
    BLOCK_BITS,
    CROPS,
    ORIENTATIONS,
    WORDS,
    Fingerprint,
    distances,
    frame_hashes,
    inverse_orientation,
    oriented,
)

TURNED = {
    "as it is": lambda picture: picture,
    "mirrored": lambda picture: picture[:, ::-1],
    "turned by 90": lambda picture: np.rot90(picture, -1),
    "turned by 180": lambda picture: np.rot90(picture, 2),
    "turned by 270": lambda picture: np.rot90(picture, 1),
}


def picture(seed: int, height: int = 360, width: int = 640) -> np.ndarray:
    """A scene of coarse and fine shapes, [height, width, 3] uint8."""
    random = np.random.default_rng(seed)
    layers = [
        cv2.resize(random.normal(0, 60 / 2**level, (4 << level, 6 << level)), (width, height)) for level in range(4)
    ]
    return np.repeat(np.clip(128 + sum(layers), 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def png(pixels: np.ndarray) -> bytes:
    """Encodes without loss; the hash takes any encoding that OpenCV reads."""
    return cv2.imencode(".png", np.ascontiguousarray(pixels))[1].tobytes()


def jpeg(pixels: np.ndarray, quality: int = 90) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def hashes(encoded: bytes) -> np.ndarray:
    frame = frame_hashes(encoded)
    assert frame is not None
    return frame


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_turned_picture_has_the_turned_hash_and_no_other(orientation):
    plain = hashes(png(picture(1)))[0]
    turned = hashes(png(TURNED[orientation](picture(1))))[0]
    bits = {name: int(distances(oriented(plain, name), turned)) for name in ORIENTATIONS}
    assert bits.pop(orientation) <= 2
    assert min(bits.values()) > 70
    assert np.array_equal(oriented(oriented(plain, orientation), inverse_orientation(orientation)), plain)


def test_orienting_many_hashes_is_orienting_each():
    many = np.stack([hashes(png(picture(seed))) for seed in range(3)])  # [frames, crops, words]
    assert many.shape == (3, len(CROPS), WORDS)
    one_by_one = [[oriented(hash, "turned by 90") for hash in frame] for frame in many]
    assert np.array_equal(oriented(many, "turned by 90"), np.array(one_by_one))


def test_compression_size_and_brightness_hardly_change_a_hash_and_other_pictures_do():
    plain = hashes(jpeg(picture(1)))[0]
    changed = {
        "quality 20": jpeg(picture(1), 20),
        "a third of the size": jpeg(cv2.resize(picture(1), (214, 120), interpolation=cv2.INTER_AREA)),
        "darker": jpeg((picture(1) * 0.7).astype(np.uint8)),
    }
    assert {name: int(distances(plain, hashes(encoded)[0])) for name, encoded in changed.items()} == {
        name: pytest.approx(0, abs=24) for name in changed
    }
    assert min(int(distances(plain, hashes(jpeg(picture(seed)))[0])) for seed in range(2, 30)) > 80


@pytest.mark.parametrize("crop", range(1, len(CROPS)))
def test_the_crop_of_a_picture_has_the_hash_that_was_made_of_its_middle(crop):
    whole = picture(1)
    height, width = whole.shape[:2]
    top, left = round(height * (1 - CROPS[crop]) / 2), round(width * (1 - CROPS[crop]) / 2)
    part = whole[top : height - top, left : width - left]
    assert distances(hashes(jpeg(whole))[crop], hashes(jpeg(part))[0]) <= 12


@pytest.mark.parametrize("level", [0, 16, 128, 255])
def test_a_flat_frame_has_no_hash(level):
    noise = np.random.default_rng(0).normal(level, 3, (240, 320, 3))
    assert frame_hashes(jpeg(np.clip(noise, 0, 255).astype(np.uint8))) is None


def test_a_fingerprint_is_in_order_of_time_without_flat_frames_and_survives_its_bytes():
    black = jpeg(np.zeros((120, 160, 3), np.uint8))
    made = Fingerprint.from_frames([(2.0, jpeg(picture(2))), (1.0, black), (0.5, jpeg(picture(1)))])
    assert made.seconds.tolist() == [0.5, 2.0]
    assert np.array_equal(made.hashes[0], hashes(jpeg(picture(1))))
    read = Fingerprint.from_bytes(made.seconds_bytes, made.hashes_bytes)
    assert np.array_equal(read.seconds, made.seconds)
    assert np.array_equal(read.hashes, made.hashes)
    assert len(made.hashes_bytes) == 2 * len(CROPS) * BITS // 8
    assert len(Fingerprint.from_frames([(0.0, black)])) == 0


def test_bytes_that_are_no_picture_are_refused():
    for broken in (b"", b"not a picture"):
        with pytest.raises(ValueError, match="not a readable JPEG"):
            frame_hashes(broken)


def test_the_blocks_fill_the_first_word():
    assert sum(BLOCK_BITS) == 64
