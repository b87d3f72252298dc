"""Measures the cost of finding copies by number of videos, compared with comparing every pair.

    python benchmarks/duplicates.py VIDEO_FOLDER [--videos 10000 30000 100000] [--frames 12] [--brute 1000]

Fingerprints are made of the real ones of the folder: each video's frames are drawn from them with a share of the bits
changed at random, so that the lowest frequencies agree as often by chance as they do in real pictures. One video in a
hundred has a copy. Printed are seconds, what they grow by, and how many of the copies are found; at the smallest size
also what it takes to compare every frame with every other.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np

from internvid.video.copies import CopyIndex
from internvid.video.fingerprint import BITS, CROPS, WORDS, Fingerprint, distances
from internvid.video.probe import UnreadableVideo
from internvid.video.scan import SampledFrame, scan
from internvid.video.settings import ScanSettings

BITS_CHANGED = 0.3  # of a hash, so that two videos drawn from the same frame are as far apart as strangers
BITS_OF_A_COPY = 12
VIDEOS_PER_COPY = 100
VIDEOS_PER_READ = 4_000


def main() -> None:
    arguments = _arguments()
    real = _real_hashes(arguments.folder)
    print(f"{len(real):,} real frames; {arguments.frames} frames a video")
    print(f"{'videos':>10} {'hashes':>12} {'index s':>9} {'look-up s':>10} {'µs a hash':>10} {'copies':>16} {'GB':>6}")
    before: tuple[int, float] | None = None
    for count in arguments.videos:
        videos, copies = _videos(real, count, arguments.frames)
        started = time.perf_counter()
        index = CopyIndex(videos)
        made = time.perf_counter()
        pairs = set()
        for first in range(0, len(videos), VIDEOS_PER_READ):
            pairs |= {(left, right) for left, right, _ in index.copies_of(videos[first : first + VIDEOS_PER_READ])}
        seconds = time.perf_counter() - started
        gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        hashes = sum(len(fingerprint) for _, fingerprint in videos)
        print(
            f"{len(videos):10,} {hashes:12,} {made - started:9.1f} {seconds - made + started:10.1f} "
            f"{seconds / hashes * 1e6:10.1f} {len(pairs & copies):8,}/{len(copies):<6,} {gigabytes:6.1f}"
            f"  {len(pairs - copies)} others"
        )
        if before is not None:
            print(f"{'':10} {len(videos) / before[0]:.1f} times the videos, {seconds / before[1]:.1f} times the time")
        before = (len(videos), seconds)
        if count == arguments.videos[0]:
            _print_brute(videos, arguments.brute, seconds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="real videos")
    parser.add_argument("--videos", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--frames", type=int, default=12, help="of each video")
    parser.add_argument("--brute", type=int, default=1_000, help="videos compared in every pair, to extrapolate from")
    return parser.parse_args()


def _real_hashes(folder: Path) -> np.ndarray:
    """[frames, CROPS, WORDS] of all videos in the folder that can be read."""
    hashes = []
    for path in sorted(folder.iterdir()):
        frames: list[SampledFrame] = []
        try:
            scan(str(path), ScanSettings(), frames.append)
        except UnreadableVideo as error:
            print(f"left out {path.name}: {error}")
            continue
        hashes.append(Fingerprint.from_frames((frame.seconds, frame.jpeg) for frame in frames).hashes)
    return np.concatenate(hashes)


def _videos(real: np.ndarray, count: int, frames: int) -> tuple[list[tuple[str, Fingerprint]], set[tuple[str, str]]]:
    """Named fingerprints, and which pairs of names are copies."""
    random = np.random.default_rng(count)
    seconds = np.arange(frames, dtype=np.float32)
    videos, copies = [], set()
    for number in range(count):
        hashes = real[random.integers(0, len(real), frames)]
        video = Fingerprint(seconds, hashes ^ _noise(random, frames, BITS_CHANGED))
        videos.append((f"{number:07d}", video))
        if number % VIDEOS_PER_COPY == 0:
            copy = Fingerprint(seconds, video.hashes ^ _noise(random, frames, BITS_OF_A_COPY / BITS))
            videos.append((f"{number:07d} copy", copy))
            copies.add((f"{number:07d}", f"{number:07d} copy"))
    return videos, copies


def _noise(random: np.random.Generator, frames: int, share: float) -> np.ndarray:
    """[frames, CROPS, WORDS] uint64 with that share of the bits set."""
    bits = random.random((frames, len(CROPS), BITS), np.float32) < share
    return np.packbits(bits, axis=-1, bitorder="little").view(np.uint64).reshape(frames, len(CROPS), WORDS)


def _print_brute(videos: list[tuple[str, Fingerprint]], count: int, seconds: float) -> None:
    hashes = np.concatenate([fingerprint.hashes[:, 0] for _, fingerprint in videos[:count]])
    started = time.perf_counter()
    for row in hashes:
        distances(row, hashes)
    taken = (time.perf_counter() - started) * (len(videos) / count) ** 2
    print(
        f"{'':10} every pair of these frames, uncropped: {taken:,.0f} s, extrapolated from "
        f"{count:,} videos; {taken / seconds:.1f} times as long"
    )


if __name__ == "__main__":
    main()
