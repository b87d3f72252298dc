"""Measures how much faster frames are captioned in batches than one at a time, and whether memory stays constant.

    python benchmarks/captioning.py                                    # a tiny BLIP of random weights, on the CPU
    python benchmarks/captioning.py --weights Salesforce/blip2-opt-2.7b --device cuda --batch 64

The same frames, JPEGs of 512x384, through the same provider, in turn: batches of --batch, and batches of one; the
median of each, and whether the captions are the same. Then --many frames in calls of the size that the pipeline makes,
with the resident memory of this process after the first hundred, in the middle and at the end.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessorPil

from resources.models.hub_captioner import HubCaptioner

GOAL = 3.0
SIZE = (512, 384)
DIFFERENT = 64  # frames; over and over in the test of memory
WARM = 100  # frames until memory is what it is


def tiny_blip(folder: Path) -> Path:
    """BLIP's classes with 2 layers of 64, 64 pixels a side; random weights, words of one letter each."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", *map(chr, range(97, 123))]
    tokenizer = BertTokenizer(vocab={word: at for at, word in enumerate(words)})
    sizes = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
    ends = {"bos_token_id": 5, "sep_token_id": 3, "pad_token_id": 0}
    config = BlipConfig(
        text_config={**sizes, **ends, "vocab_size": len(words), "max_position_embeddings": 64},
        vision_config={**sizes, "image_size": 64, "patch_size": 16},
    )
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.2)  # at the usual 0.02 every picture gets the same caption
        model.text_decoder.cls.predictions.bias[:6] = -100  # letters alone: every caption is as long as may be
    for part in (model, tokenizer, BlipImageProcessorPil(size={"height": 64, "width": 64})):
        part.save_pretrained(folder)
    return folder


def frames() -> list[bytes]:
    """Smooth pictures, which compress like real ones."""
    rng = np.random.default_rng(0)
    encoded = []
    for _ in range(DIFFERENT):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        file = BytesIO()
        coarse.resize(SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        encoded.append(file.getvalue())
    return encoded


def captions(provider: HubCaptioner, jpegs: Sequence[bytes]) -> list[str]:
    results = provider.caption(jpegs)
    failed = [result for result in results if isinstance(result, Exception)]
    if failed:
        raise failed[0]
    return [result.caption for result in results if not isinstance(result, Exception)]


def compare(weights: str, device: str, batch: int, repetitions: int) -> None:
    jpegs = frames()
    sides = {size: HubCaptioner(weights=weights, device=device, frames_per_batch=size) for size in (batch, 1)}
    texts = {size: captions(provider, jpegs) for size, provider in sides.items()}  # and loads the model
    seconds: dict[int, list[float]] = {size: [] for size in sides}
    for _ in range(repetitions):
        for size, provider in sides.items():
            started = time.perf_counter()
            captions(provider, jpegs)
            seconds[size].append(time.perf_counter() - started)
    speed = {size: len(jpegs) / statistics.median(runs) for size, runs in seconds.items()}
    same = sum(batched == single for batched, single in zip(texts[batch], texts[1], strict=True))
    print(f"frames a second: {speed[batch]:.1f} in batches of {batch}, {speed[1]:.1f} one at a time; ", end="")
    print(f"{speed[batch] / speed[1]:.1f} times as many (goal: {GOAL:.0f})")
    print(f"{same} of {len(jpegs)} captions are the same; {len(set(texts[1]))} different ones", flush=True)


def watch_memory(provider: HubCaptioner, many: int) -> None:
    jpegs = frames()
    marks = {WARM: "start", many // 2: "middle", many: "end"}
    megabytes_at: dict[str, float] = {}
    done = 0
    for call in calls(jpegs, many, provider.frames_per_call):
        captions(provider, call)
        megabytes_at |= {name: resident_megabytes() for mark, name in marks.items() if done < mark <= done + len(call)}
        done += len(call)
    text = ", ".join(f"{name} {megabytes:.0f} MB" for name, megabytes in megabytes_at.items())
    print(f"resident over {many} frames, {provider.frames_per_call} a call: {text}; ", end="")
    print(f"from start to end {megabytes_at['end'] - megabytes_at['start']:+.1f} MB")


def calls(jpegs: Sequence[bytes], many: int, frames_per_call: int) -> Iterator[list[bytes]]:
    for first in range(0, many, frames_per_call):
        yield [jpegs[at % len(jpegs)] for at in range(first, min(first + frames_per_call, many))]


def resident_megabytes() -> float:
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="an id of the hub or a folder; default: a tiny BLIP")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--many", type=int, default=2000, help="frames in the test of memory")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        weights = options.weights or str(tiny_blip(Path(temporary) / "tiny-blip"))
        print(
            f"{platform.machine()}, {options.threads} thread(s), {options.device}, torch {version('torch')}, ", end=""
        )
        print(f"transformers {version('transformers')}, {options.weights or 'a tiny BLIP'}")
        compare(weights, options.device, options.batch, options.repetitions)
        watch_memory(HubCaptioner(weights=weights, device=options.device, frames_per_batch=options.batch), options.many)


if __name__ == "__main__":
    main()
