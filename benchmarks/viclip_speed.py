"""How fast ViCLIP is, forward and in training.

    python benchmarks/viclip_speed.py                  # both comparisons below, on two threads of the CPU
    python benchmarks/viclip_speed.py --only forward   # or: step, gpu
    python benchmarks/viclip_speed.py --train-text     # in training steps; otherwise it is frozen, as in the recipe

In one run, the two sides of each comparison in turn, the median of each:

forward: ViCLIP-B/16's vision tower on 8 frames of 224x224, against the same network written plainly with
nn.Conv3d and nn.MultiheadAttention (which calls scaled_dot_product_attention too), in eager mode, with the same
weights. Their outputs are compared first.

step: a training step of B/16 (forward of both towers, loss, backward, AdamW) with 0.9 of the tokens masked, against
one with none.

Where there is a CUDA device, then also L/14 in bfloat16 with 0.9 masked: samples per second, and the share of the
device's peak that its useful arithmetic is. Recomputation of checkpointed blocks is not counted as useful.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from internvid.viclip.config import B16, L14, ViCLIPConfig
from internvid.viclip.loss import contrastive_loss
from internvid.viclip.model import ViCLIP, random_keep

MASK_RATIO = 0.9
PLAIN = "plain nn.MultiheadAttention"
# Dense bfloat16 TFLOP/s by NVIDIA's data sheets; the first name that the device's name contains.
PEAK_TFLOPS = {"H200": 989, "H100 PCIe": 756, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "4090": 165}


class PlainVisionTower(nn.Module):
    """The vision tower as one would write it down: convolution, every token through every block."""

    def __init__(self, config: ViCLIPConfig) -> None:
        super().__init__()
        width, patch = config.vision_width, config.patch_size
        self.conv1 = nn.Conv3d(3, width, (1, patch, patch), (1, patch, patch), bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros(1 + config.patches_per_frame, width))
        self.temporal_positional_embedding = nn.Parameter(torch.zeros(1, config.frames, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        blocks = [PlainBlock(width, config.vision_heads) for _ in range(config.vision_layers)]
        self.transformer = nn.Sequential(OrderedDict(resblocks=nn.Sequential(*blocks)))
        self.proj = nn.Parameter(torch.zeros(width, config.embed_dim))

    def forward(self, video: Tensor) -> Tensor:
        batch = len(video)
        x = self.conv1(video.transpose(1, 2))  # [b, w, t, rows, columns]
        x = x.flatten(3).permute(0, 3, 2, 1)  # [b, n, t, w]
        x = x + self.positional_embedding[1:, None] + self.temporal_positional_embedding
        first = (self.class_embedding + self.positional_embedding[0]).expand(batch, 1, -1)
        x = torch.cat([first, x.flatten(1, 2)], dim=1)
        x = self.ln_pre(x).transpose(0, 1)  # [1 + l, b, w]
        x = self.transformer(x).transpose(0, 1)
        return self.ln_post(x)[:, 0] @ self.proj


class PlainBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False)[0]
        hidden = self.mlp["c_fc"](self.ln_2(x))
        return x + self.mlp["c_proj"](hidden * torch.sigmoid(1.702 * hidden))


class Seconds(NamedTuple):
    """wall: what a watch shows. cpu: of all threads of this process, which other processes' load disturbs less."""

    wall: float
    cpu: float


def seconds_of(call: Callable[[], object]) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def in_turn(sides: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, Seconds]:
    """Medians of each side. Load that comes and goes hits all sides alike, as each is run after each."""
    seconds: dict[str, list[Seconds]] = {name: [] for name in sides}
    for _ in range(repetitions):
        for name, call in sides.items():
            seconds[name].append(seconds_of(call))
    return {
        name: Seconds(*map(statistics.median, zip(*measurements, strict=True)))
        for name, measurements in seconds.items()
    }


def show(seconds: dict[str, Seconds], *, fast: str, slow: str) -> None:
    for name, measured in seconds.items():
        print(f"  {name:32s}{measured.wall:8.2f} s, of all cores together {measured.cpu:8.2f} s")
    wall, cpu = seconds[slow].wall / seconds[fast].wall, seconds[slow].cpu / seconds[fast].cpu
    print(f"  {fast} is {wall:.2f} times as fast; by time of the cores {cpu:.2f}", flush=True)


def compare_forward(clips: int, repetitions: int) -> None:
    ours, plain = ViCLIP(B16).eval(), PlainVisionTower(B16).eval()
    nn.init.normal_(ours.vision_encoder.temporal_positional_embedding, std=0.02)
    plain.load_state_dict(ours.vision_encoder.state_dict())
    video = torch.randn(clips, 8, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(ours.encode_video(video), plain(video), rtol=1e-4, atol=1e-4)  # and warms up
        seconds = in_turn({PLAIN: lambda: plain(video), "ours": lambda: ours.encode_video(video)}, repetitions)
    print(f"B/16 forward on 8x224x224, {clips} clip(s), float32, median of {repetitions} in turn")
    show(seconds, fast="ours", slow=PLAIN)


def training_step(
    model: ViCLIP, *, clips: int, mask_ratio: float, frozen_text: bool, precision: torch.dtype | None = None
) -> Callable[[], Tensor]:
    """One step on made-up clips, to be called again and again."""
    device = model.temp.device
    generator = torch.Generator(device).manual_seed(0)
    model.text_encoder.requires_grad_(not frozen_text)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-6, betas=(0.9, 0.98), weight_decay=0.2, fused=True)
    side, frames = model.config.image_size, model.config.frames
    video = torch.randn(clips, frames, 3, side, side, device=device)
    token_ids = torch.randint(1, model.config.vocab_size, (clips, model.config.context_length), device=device)

    def step() -> Tensor:
        keep = None
        if mask_ratio:
            keep = random_keep(model.config, batch=clips, frames=frames, mask_ratio=mask_ratio, generator=generator)
        with torch.autocast(device.type, precision) if precision else nullcontext():
            videos, texts, temperature = model(video, token_ids, keep=keep)
        loss = contrastive_loss(videos, texts, temperature=temperature).value
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.detach()

    return step


def compare_steps(clips: int, repetitions: int, frozen_text: bool) -> None:
    # At the recipe's temperature of 0.01 the softmax over so few clips saturates, gradients fall out of the normal
    # range of floats, and the CPU takes many times as long for those: 1 makes them what they are in a real batch.
    model = ViCLIP(B16, temperature=1.0).train()
    sides: dict[str, Callable[[], object]] = {
        name: training_step(model, clips=clips, mask_ratio=ratio, frozen_text=frozen_text)
        for name, ratio in (("masked", MASK_RATIO), ("unmasked", 0.0))
    }
    sides["masked"]()
    seconds = in_turn(sides, repetitions)
    text = "frozen" if frozen_text else "trained"
    print(f"B/16 training step, {clips} clips, float32, text tower {text}, median of {repetitions} in turn")
    show(seconds, fast="masked", slow="unmasked")


def useful_flops(config: ViCLIPConfig, kept: int) -> float:
    """Of one sample in a step with the text tower frozen: twice a multiply-add; the backward pass is two forwards."""
    width, tokens = config.vision_width, 1 + kept
    per_layer = 2 * 12 * width**2 * tokens + 4 * tokens**2 * width
    vision = config.vision_layers * per_layer + 2 * kept * 3 * config.patch_size**2 * width
    words, of_text = config.context_length, config.text_width
    text = config.text_layers * (2 * 12 * of_text**2 * words + 4 * words**2 * of_text)
    return 3 * vision + text


def measure_gpu(clips: int, repetitions: int) -> None:
    name = torch.cuda.get_device_name()
    peak = next((tflops for part, tflops in PEAK_TFLOPS.items() if part in name), None)
    kept = L14.patches_per_frame * L14.frames
    kept -= int(MASK_RATIO * kept)
    for checkpointing in (False, True):
        for compiled in (False, True):
            torch.cuda.empty_cache()
            model = ViCLIP(L14, gradient_checkpointing=checkpointing).cuda().train()
            if compiled:
                model.compile()
            step = training_step(model, clips=clips, mask_ratio=MASK_RATIO, frozen_text=True, precision=torch.bfloat16)
            for _ in range(3):
                step()
            torch.cuda.synchronize()
            median = in_turn({"step": step}, repetitions)["step"].wall
            tflops = useful_flops(L14, kept) * clips / median / 1e12
            share = f"{tflops / peak:.0%} of the peak of {peak}" if peak else "peak not known"
            how = f"{'checkpointed' if checkpointing else 'not checkpointed'}, {'compiled' if compiled else 'eager'}"
            print(f"L/14 on {name}, {MASK_RATIO} masked, bfloat16, text frozen, {clips} clips a step, {how}:")
            print(f"  {clips / median:.0f} samples/s, {tflops:.0f} TFLOP/s, {share}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("forward", "step", "gpu"))
    parser.add_argument("--clips", type=int, default=4, help="in a training step on the CPU")
    parser.add_argument("--train-text", action="store_true", help="train the text tower too")
    parser.add_argument("--gpu-clips", type=int, default=128, help="in a training step on the GPU")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    if arguments.only in (None, "forward"):
        compare_forward(clips=1, repetitions=2 * arguments.repetitions)
    if arguments.only in (None, "step"):
        compare_steps(arguments.clips, arguments.repetitions, not arguments.train_text)
    if torch.cuda.is_available() and arguments.only in (None, "gpu"):
        measure_gpu(arguments.gpu_clips, 5 * arguments.repetitions)
    elif arguments.only == "gpu":
        raise SystemExit("there is no CUDA device")


if __name__ == "__main__":
    main()
