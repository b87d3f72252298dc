"""Broken video files without end: small files of many containers and codecs, and what chance makes of them.

The same seed gives the same mutants. A mutant keeps most of its parent, so that it comes past the first look of a
decoder: bytes are flipped, an end is cut, blocks change places, the halves of two files are joined, a stretch is
repeated or emptied, numbers of the header become very large.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from internvid.synthetic.render import scheduling_kept

# Container -> codecs of pictures and sound.
FORMS: dict[str, tuple[str, str | None]] = {
    "mp4": ("libx264", "aac"),
    "mov": ("mpeg4", "aac"),
    "mkv": ("libvpx-vp9", "libopus"),
    "webm": ("libvpx", "libvorbis"),
    "avi": ("mjpeg", "pcm_s16le"),
    "mpg": ("mpeg2video", "mp2"),
    "ts": ("libx264", "mp2"),
    "flv": ("flv", "libmp3lame"),
    "m4v": ("libx265", None),
    "3gp": ("h263", None),
    "wmv": ("wmv2", "wmav2"),
    "ogv": ("libtheora", "libvorbis"),
    "gif": ("gif", None),
    "av1.mp4": ("libsvtav1", "aac"),
}
SIZE, FRAMES, RATE, SOUND_RATE = (176, 144), 20, 10, 48_000
BLOCKS = 16


def parents(folder: Path) -> list[Path]:
    """Renders a small file of each form that this FFmpeg can write; 2 s, two shots."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for suffix, (pictures, sound) in FORMS.items():
        path = folder / f"parent.{suffix}"
        try:
            _render(path, pictures, sound)
        except (av.FFmpegError, ValueError):  # it has no such encoder
            path.unlink(missing_ok=True)
        else:
            paths.append(path)
    return paths


def _render(path: Path, pictures: str, sound: str | None) -> None:
    chance = np.random.default_rng(0)
    with scheduling_kept(), av.open(str(path), "w") as container:
        video = container.add_stream(pictures, rate=RATE)
        video.width, video.height = SIZE
        video.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(pictures, "yuv420p")
        audio = container.add_stream(sound, rate=SOUND_RATE) if sound else None
        for number in range(FRAMES):
            picture = np.full((SIZE[1], SIZE[0], 3), (200, 40, 40) if number < FRAMES // 2 else (20, 90, 200), np.uint8)
            picture[number * 4 : number * 4 + 30, 20:60] = chance.integers(0, 255, 3)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None:
            samples = (chance.normal(0, 3000, (1, SOUND_RATE * FRAMES // RATE))).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate = SOUND_RATE
            fifo, resampler = av.AudioFifo(), av.AudioResampler(audio.format, audio.layout, SOUND_RATE)
            for part in resampler.resample(frame):
                part.pts = None
                fifo.write(part)
            while part := fifo.read(audio.codec_context.frame_size or 1024, partial=True):
                container.mux(audio.encode(part))
            container.mux(audio.encode(None))


@dataclass(frozen=True)
class Mutant:
    """A broken file. made_by: its seed, and what was done to which parent."""

    path: Path
    made_by: str


def mutants(parents: list[Path], folder: Path, seeds: Sequence[int]) -> Iterator[Mutant]:
    """Writes a mutant for each seed."""
    contents = {path: path.read_bytes() for path in parents}
    for seed in seeds:
        chance = random.Random(seed)
        parent = chance.choice(parents)
        content, done = contents[parent], []
        for _ in range(chance.choice((1, 1, 2, 3))):
            change = chance.choice(CHANGES)
            content = change(content, chance, contents)
            done.append(change.__name__)
        path = folder / f"{seed}{parent.suffix}"
        path.write_bytes(content)
        yield Mutant(path, f"seed {seed}: {parent.name}: {', '.join(done)}")


def flipped_bytes(content: bytes, chance: random.Random, contents: dict[Path, bytes]) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 3, 30, 300))):
        if changed:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def flipped_bytes_of_the_header(content: bytes, chance: random.Random, contents: dict[Path, bytes]) -> bytes:
    return flipped_bytes(content[:1024], chance, contents) + content[1024:]


def flipped_bytes_of_the_end(content: bytes, chance: random.Random, contents: dict[Path, bytes]) -> bytes:
    return content[:-2048] + flipped_bytes(content[-2048:], chance, contents)  # where an MP4 has its index


def cut_end(content: bytes, chance: random.Random, contents: dict[Path, bytes]) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def cut_beginning(content: bytes, chance: random.Random, contents: dict[Path, bytes]) -> bytes:
    return content[chance.randrange(len(content) + 1) :]


def swapped_blocks(content: bytes, chance: random.Random, contents: dict[Path, bytes]) -> bytes:
    """Atoms of an MP4 change places, or blocks of another file."""
    blocks = _atoms(content)
    if len(blocks) < 2:
        size = max(1, len(content) // BLOCKS)
        blocks = [content[start : start + size] for start in range(0, len(content), size)]
    chance.shuffle(blocks)
    return b"".join(blocks)


def _atoms(content: bytes) -> list[bytes]:
    atoms, at = [], 0
    while at + 8 <= len(content):
        size, name = struct.unpack(">I4s", content[at : at + 8])
        if size < 8 or not name.isalnum():
            return []
        atoms.append(content[at : at + size])
        at += size
    return atoms


def spliced_halves(content: bytes, chance: random.Random, contents: dict[Path, bytes]) -> bytes:
    following = contents[chance.choice(sorted(contents))]
    return content[: len(content) // 2] + following[len(following) // 2 :]


def repeated_stretch(content: bytes, chance: random.Random, contents: dict[Path, bytes]) -> bytes:
    start = chance.randrange(len(content) + 1)
    stretch = content[start : start + chance.randrange(1, 4096)]
    return content[:start] + stretch * chance.choice((2, 10, 50)) + content[start:]


def emptied_stretch(content: bytes, chance: random.Random, contents: dict[Path, bytes]) -> bytes:
    start = chance.randrange(len(content) + 1)
    size = min(chance.randrange(1, 8192), len(content) - start)
    return content[:start] + bytes(size) + content[start + size :]


def large_numbers(content: bytes, chance: random.Random, contents: dict[Path, bytes]) -> bytes:
    """Sizes, counts and lengths become the largest that there are."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 4, 16))):
        if len(changed) > 8:
            near = chance.choice((2048, len(changed)))
            start = chance.randrange(min(near, len(changed) - 8))
            number = chance.choice((2**32 - 1, 2**31 - 1, 2**31, 2**24, 65_535, 16_384, 0))
            changed[start : start + 4] = struct.pack(chance.choice((">I", "<I")), number)
    return bytes(changed)


CHANGES = (
    flipped_bytes,
    flipped_bytes_of_the_header,
    flipped_bytes_of_the_end,
    cut_end,
    cut_beginning,
    swapped_blocks,
    spliced_halves,
    repeated_stretch,
    emptied_stretch,
    large_numbers,
)
