"""Fingerprints of videos, a few bytes a frame: copies of a video have nearly the same fingerprint.

A frame's hash is the signs of the 255 lowest frequencies of its luma (a cosine transform of 64 x 64 pixels, as in
PDQ), so it stands compression, another size and other colours. Against cropping each frame is hashed three times:
whole, and its middle 95 % and 90 %. Turned and mirrored pictures need no further hashes: a mirror changes the sign of
known frequencies, a quarter turn also exchanges rows and columns.

For eleven real videos and their copies, the median frame and the copy's frame of the same moment differed in 8 of 256
bits at a lower bitrate, 5 at half the size, 6 where 5 % were cropped, 22 with a logo. Frames of thirty different videos
differed in 73 bits or more. `copies` finds copies among many videos.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

VERSION = "dct16-signs/1"  # raise it when the same frames would give other hashes
CROPS = (1.0, 0.95, 0.9)  # parts of each frame that are hashed: shares of its width and height, from the middle
BITS = 256  # length of a hash; the last bit is always 0
WORDS = BITS // 64

# The first word holds the 64 lowest frequencies, which are the steadiest. They are spread over blocks so that each
# block is a sample of them all: `copies` looks frames up by two of these blocks.
BLOCK_BITS = (13, 13, 13, 13, 12)

_PIXELS = 64
_FREQUENCIES = 16
# Standard deviation of luma (0 to 255) below which a frame is flat: black, a fade, a blank wall. The signs of such a
# frame are noise. Black screen recordings have 1.9, the darkest real pictures 5.
_MIN_DEVIATION = 4.0

ORIENTATIONS = ("as it is", "mirrored", "turned by 90", "turned by 180", "turned by 270")


@dataclass(frozen=True)
class Fingerprint:
    """The hashes of a video's sampled frames.

    seconds: [frames] float32, rising, from the video's first frame. hashes: [frames, CROPS, WORDS] uint64.
    """

    seconds: np.ndarray
    hashes: np.ndarray

    def __len__(self) -> int:
        return len(self.seconds)

    @classmethod
    def from_frames(cls, frames: Iterable[tuple[float, bytes]]) -> Fingerprint:
        """Hashes frames (seconds, JPEG), given in any order and read one by one. Flat frames are left out.

        Raises ValueError for bytes that are no picture.
        """
        hashed = [(seconds, hashes) for seconds, jpeg in frames if (hashes := frame_hashes(jpeg)) is not None]
        hashed.sort(key=lambda frame: frame[0])
        seconds = np.array([seconds for seconds, _ in hashed], np.float32)
        hashes = np.array([hashes for _, hashes in hashed], np.uint64).reshape(-1, len(CROPS), WORDS)
        return cls(seconds, hashes)

    @classmethod
    def from_bytes(cls, seconds: bytes, hashes: bytes) -> Fingerprint:
        """Reads what `seconds_bytes` and `hashes_bytes` returned."""
        return cls(np.frombuffer(seconds, "<f4"), np.frombuffer(hashes, "<u8").reshape(-1, len(CROPS), WORDS))

    @property
    def seconds_bytes(self) -> bytes:
        return self.seconds.astype("<f4").tobytes()

    @property
    def hashes_bytes(self) -> bytes:
        """The hashes of each frame's CROPS, frame by frame, 32 bytes each, little-endian."""
        return self.hashes.astype("<u8").tobytes()


def frame_hashes(jpeg: bytes) -> np.ndarray | None:
    """Hashes a frame: [CROPS, WORDS] uint64, None for a flat frame. Raises ValueError for bytes that are no picture."""
    import cv2

    luma = _luma(jpeg)
    height, width = luma.shape
    small = np.empty((len(CROPS), _PIXELS, _PIXELS), np.float32)
    for index, share in enumerate(CROPS):
        top, left = round(height * (1 - share) / 2), round(width * (1 - share) / 2)
        part = luma[top : height - top, left : width - left]
        small[index] = cv2.resize(part, (_PIXELS, _PIXELS), interpolation=cv2.INTER_AREA)
    transform = _cosines()
    spectrum = (transform @ small @ transform.T).reshape(len(CROPS), -1)  # row: vertical frequency
    if np.sqrt((spectrum[0, 1:] ** 2).sum()) / _PIXELS < _MIN_DEVIATION:
        return None
    return _packed(_with_spare(spectrum[:, _positions()] > 0))


def oriented(hashes: np.ndarray, orientation: str) -> np.ndarray:
    """The hashes [..., WORDS] of the same pictures mirrored (left and right exchanged) or turned clockwise."""
    if orientation == "as it is":
        return hashes
    if orientation in ("turned by 90", "turned by 270"):
        bits = np.unpackbits(np.ascontiguousarray(hashes, "<u8").view(np.uint8), axis=-1, bitorder="little")
        hashes = _packed(bits[..., _exchanged()])
    return hashes ^ _sign_changes(orientation)


def inverse_orientation(orientation: str) -> str:
    """The orientation that undoes this one."""
    return {"turned by 90": "turned by 270", "turned by 270": "turned by 90"}.get(orientation, orientation)


def distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The number of the 256 bits in which hashes [..., WORDS] differ; left and right are broadcast."""
    return np.bitwise_count(left ^ right).sum(axis=-1, dtype=np.int32)


def _luma(jpeg: bytes) -> np.ndarray:
    """Decodes a picture's luma, [height, width] uint8, at half the size where that leaves enough pixels."""
    import cv2

    encoded = np.frombuffer(jpeg, np.uint8)
    luma = cv2.imdecode(encoded, cv2.IMREAD_REDUCED_GRAYSCALE_2) if jpeg else None
    if luma is not None and min(luma.shape) < 2 * _PIXELS:
        luma = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)
    if luma is None:
        raise ValueError(f"not a readable JPEG ({len(jpeg)} bytes)")
    return luma


@cache
def _cosines() -> np.ndarray:
    """The rows of the orthonormal cosine transform (DCT-II): [frequencies, pixels]."""
    pixels = np.arange(_PIXELS)
    frequencies = np.arange(_FREQUENCIES)[:, None]
    rows = np.cos(np.pi * frequencies * (2 * pixels + 1) / (2 * _PIXELS)) * np.sqrt(2 / _PIXELS)
    rows[0] /= np.sqrt(2)
    return rows.astype(np.float32)


@cache
def _positions() -> np.ndarray:
    """The position of each bit in the flattened spectrum: [BITS - 1]. The mean luma, at position 0, has no bit."""
    vertical, horizontal = np.divmod(np.arange(1, _FREQUENCIES**2), _FREQUENCIES)
    rising = 1 + np.lexsort((horizontal, vertical, vertical**2 + horizontal**2))
    steadiest = rising[:64]
    dealt = [steadiest[block :: len(BLOCK_BITS)] for block in range(len(BLOCK_BITS))]
    return np.concatenate([*dealt, rising[64:]])


@cache
def _exchanged() -> np.ndarray:
    """For each bit, the bit of the same frequency with vertical and horizontal exchanged: [BITS]."""
    vertical, horizontal = np.divmod(_positions(), _FREQUENCIES)
    bit_at = np.full(_FREQUENCIES**2, BITS - 1)
    bit_at[_positions()] = np.arange(BITS - 1)
    return np.append(bit_at[horizontal * _FREQUENCIES + vertical], BITS - 1)


@cache
def _sign_changes(orientation: str) -> np.ndarray:
    """The bits that an orientation flips: [WORDS]. Exchanging left and right flips odd horizontal frequencies."""
    vertical, horizontal = np.divmod(_positions(), _FREQUENCIES)
    left_right, top_bottom = horizontal % 2 == 1, vertical % 2 == 1
    changed = {
        "mirrored": left_right,
        "turned by 90": left_right,
        "turned by 180": left_right ^ top_bottom,
        "turned by 270": top_bottom,
    }[orientation]
    return _packed(_with_spare(changed))


def _with_spare(bits: np.ndarray) -> np.ndarray:
    """Appends the spare bit, 0: [..., BITS - 1] to [..., BITS]."""
    return np.concatenate([bits, np.zeros((*bits.shape[:-1], 1), bool)], axis=-1)


def _packed(bits: np.ndarray) -> np.ndarray:
    """Packs bits into words: [..., BITS] to [..., WORDS] uint64."""
    return np.ascontiguousarray(np.packbits(bits, axis=-1, bitorder="little")).view("<u8")
