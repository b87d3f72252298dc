"""How fast ViCLIP is: forward, in training, fed, and on a GPU.

    python benchmarks/viclip_speed.py                  # all comparisons below, on two threads of the CPU
    python benchmarks/viclip_speed.py --only forward   # or: step, feed, gpu
    python benchmarks/viclip_speed.py --train-text     # in training steps; otherwise it is frozen, as in the recipe

In one run, the sides of each comparison in turn, the median of each:

forward: ViCLIP-B/16's vision tower on 8 frames of 224x224, against the same network written plainly with
nn.Conv3d and nn.MultiheadAttention (which calls scaled_dot_product_attention too), in eager mode, with the same
weights; and in bfloat16, of which the cosine to the plain network's vectors is printed. Outputs are compared first.

step: a training step of B/16 (forward of both towers, loss, backward, AdamW) with 0.9 of the tokens masked, against
one with none.

feed: samples of L/14 from JPEG frames in memory, by `--workers` processes: bytes of a sample, samples a second, and
processor seconds of the training process for a batch. Against the former way, which sent float32 with all patches in
parts of 16 and joined them in the training process.

gpu, where there is a CUDA device: L/14. The practical peak is measured first (a product of two large matrices). Then
the vision tower alone by precision, with the plain network beside it; encoding from JPEG frames end to end; the
training step as it fits; and `train()` end to end against its own step. Recomputation is not counted as useful.
`--device cpu --tiny` runs the same program without a GPU, to see that it works; its figures say nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from viclip_feed import FormerSamples, JpegClips, former_batches

from internvid.data import part_ranges
from internvid.viclip.arithmetic import forward_flops, measured_peak, step_flops
from internvid.viclip.checkpoint import Checkpoint
from internvid.viclip.config import B16, L14, ViCLIPConfig
from internvid.viclip.encoder import Encoder
from internvid.viclip.loss import contrastive_loss
from internvid.viclip.memory import MemoryPlan
from internvid.viclip.model import ViCLIP, random_keep
from internvid.viclip.optimisation import adamw
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.ranks import Ranks
from internvid.viclip.recipe import Phase, Recipe
from internvid.viclip.recipes import RECIPES
from internvid.viclip.samples import Samples, SliceRows, batches_with_samples
from internvid.viclip.sampling import Plan
from internvid.viclip.step import TrainingStep
from internvid.viclip.tokenizer import Tokenizer
from internvid.viclip.training import train

MASK_RATIO = 0.9
PLAIN = "plain nn.MultiheadAttention"
TINY = RECIPES["viclip-tiny"].model


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

    def in_bfloat16() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return ours.encode_video(video)

    with torch.inference_mode():
        exact = plain(video)
        torch.testing.assert_close(ours.encode_video(video), exact, rtol=1e-4, atol=1e-4)  # and warms up
        alike = torch.cosine_similarity(in_bfloat16().float(), exact).min()
        sides = {PLAIN: lambda: plain(video), "ours": lambda: ours.encode_video(video), "in bfloat16": in_bfloat16}
        seconds = in_turn(sides, repetitions)
    print(f"B/16 forward on 8x224x224, {clips} clip(s), float32, median of {repetitions} in turn")
    show({name: seconds[name] for name in (PLAIN, "ours")}, fast="ours", slow=PLAIN)
    show({"in bfloat16": seconds["in bfloat16"], PLAIN: seconds[PLAIN]}, fast="in bfloat16", slow=PLAIN)
    print(f"  cosine of vectors in bfloat16 to the plain network's: {alike:.5f}")


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


# ---- feed ----


def compare_feed(clips: int, batches: int, workers: int, repetitions: int) -> None:
    tokenizer = vocabulary(JpegClips(500, height=8, width=8, pictures=1), L14)
    for mask_ratio in (MASK_RATIO, 0.0):
        recipe = trial_recipe(L14, mask_ratio, clips, steps=batches)
        jpeg_clips = JpegClips(clips * (batches + 1), height=256, width=455)
        plan = Plan(recipe, jpeg_clips.video_numbers)

        def former(jpeg_clips: JpegClips = jpeg_clips, recipe: Recipe = recipe, plan: Plan = plan) -> Fed:
            loaded = former_batches(FormerSamples(jpeg_clips, recipe, tokenizer), plan, workers=workers)
            return fed(loaded, lambda batch: sum(tensor.nbytes for tensor in batch.values()), clips)

        def ours(jpeg_clips: JpegClips = jpeg_clips, recipe: Recipe = recipe, plan: Plan = plan) -> Fed:
            loaded = batches_with_samples(
                Samples(jpeg_clips, recipe, tokenizer),
                plan,
                first_step=0,
                rank=0,
                ranks=1,
                slices=dict.fromkeys(range(len(plan.phases)), 1),
                workers=workers,
                pin_memory=False,
            )
            return fed((slices[0] for _, slices in loaded), lambda slice_: slice_.nbytes, clips)

        runs: dict[str, list[Fed]] = {"former": [], "ours": []}
        for _ in range(repetitions):
            runs["former"].append(former())
            runs["ours"].append(ours())
        print(f"feed of L/14, {mask_ratio} masked, {clips} clips a batch, {workers} workers, median of {repetitions}")
        medians = {name: Fed(*map(statistics.median, zip(*values, strict=True))) for name, values in runs.items()}
        for name, median in medians.items():
            print(
                f"  {name:8s}{median.megabytes:6.2f} MB a sample, {median.per_second:7.1f} samples a second, "
                f"{median.main_seconds * 1000:7.1f} ms of the training process a batch"
            )
        faster = medians["ours"].per_second / medians["former"].per_second
        lighter = medians["ours"].main_seconds / medians["former"].main_seconds
        print(f"  ours: {faster:.2f} times the samples, {lighter:.3f} of the training process's time", flush=True)


class Fed(NamedTuple):
    """megabytes: of a sample. main_seconds: processor time of this process for a batch."""

    megabytes: float
    per_second: float
    main_seconds: float


def fed(loaded: Iterator[Any], size: Callable[[Any], int], clips: int) -> Fed:
    """Takes all batches. The first ones are not timed: processes start, and their queues fill."""
    first = next(loaded)
    megabytes = size(first) / clips / 1e6
    del first
    next(loaded)
    wall, cpu, batches = time.perf_counter(), time.process_time(), 0
    for batch in loaded:
        batches += 1
        del batch
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Fed(megabytes, batches * clips / wall, cpu / batches)


def vocabulary(clips: JpegClips, config: ViCLIPConfig) -> Tokenizer:
    captions = clips.captions(range(min(500, len(clips))))
    return Tokenizer.trained_on(captions, vocab_size=min(900, config.vocab_size), context_length=config.context_length)


def trial_recipe(config: ViCLIPConfig, mask_ratio: float, clips: int, *, steps: int) -> Recipe:
    phase = Phase(
        "trial", mask_ratio, 1e-6, epochs=1, warmup_epochs=0, batch_size=clips, min_steps=steps, max_steps=steps
    )
    precision = "float32" if config.vision_width < 512 else "bfloat16"
    return Recipe("trial", config, (phase,), None, True, None, frames=config.frames, precision=precision)


# ---- a GPU ----


def measure_gpu(device: torch.device, config: ViCLIPConfig, sizes: Sizes, workers: int) -> None:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "this CPU"
    peak = measured_peak(device, torch.bfloat16, side=sizes.peak_side)
    print(f"{name}, torch {torch.__version__}, {os.cpu_count()} cores: peak {peak / 1e12:.1f} TFLOP/s in bfloat16")
    measure_networks(device, config, sizes, peak)
    measure_encoding(device, config, sizes, peak)
    for mask_ratio, clips in ((MASK_RATIO, sizes.masked), (0.0, sizes.unmasked)):
        measure_training(device, config, sizes, mask_ratio, clips, workers, peak)


class Sizes(NamedTuple):
    """encoded: clips in a forward pass, and encode: from JPEG frames. masked, unmasked: clips in a training step."""

    encoded: int
    encode: int
    masked: int
    unmasked: int
    steps: int
    repetitions: int
    peak_side: int


GPU_SIZES = Sizes(encoded=32, encode=6144, masked=512, unmasked=32, steps=12, repetitions=10, peak_side=8192)
TINY_SIZES = Sizes(encoded=4, encode=40, masked=16, unmasked=8, steps=4, repetitions=2, peak_side=256)


def measure_networks(device: torch.device, config: ViCLIPConfig, sizes: Sizes, peak: float) -> None:
    """The vision tower alone, in each precision, and the plain one beside it."""
    ours, plain = ViCLIP(config).to(device).eval(), PlainVisionTower(config).to(device).eval()
    nn.init.normal_(ours.vision_encoder.temporal_positional_embedding, std=0.02)
    plain.load_state_dict(ours.vision_encoder.state_dict())
    video = torch.randn(sizes.encoded, config.frames, 3, config.image_size, config.image_size, device=device)
    flops = forward_flops(config, frames=config.frames)[0] * sizes.encoded

    def by_autocast(network: Callable[[Tensor], Tensor]) -> Callable[[], Tensor]:
        def call() -> Tensor:
            with torch.autocast(device.type, torch.bfloat16):
                return network(video)

        return call

    with torch.inference_mode():
        exact = ours.encode_video(video)
        ways: dict[str, Callable[[], Tensor]] = {
            "float32": lambda: ours.encode_video(video),
            "bfloat16": by_autocast(ours.encode_video),
            f"bfloat16, {PLAIN}": by_autocast(plain),
        }
        report_networks(ways, exact, sizes, flops, peak)
        if device.type == "cuda":
            for block in ours.vision_encoder.transformer.resblocks:
                block.compile(dynamic=False)
        report_networks({"bfloat16, compiled": ways["bfloat16"]}, exact, sizes, flops, peak)


def report_networks(
    ways: Mapping[str, Callable[[], Tensor]], exact: Tensor, sizes: Sizes, flops: float, peak: float
) -> None:
    for way, call in ways.items():
        cosine = nn.functional.cosine_similarity(call().float(), exact, dim=1).min().item()  # and warms up
        seconds = in_turn({way: call}, sizes.repetitions)[way].wall
        print(
            f"  network alone, {way}: {sizes.encoded / seconds:.1f} clips/s, {flops / seconds / peak:.0%} of the peak, "
            f"lowest cosine to float32 {cosine:.6f}",
            flush=True,
        )


def measure_encoding(device: torch.device, config: ViCLIPConfig, sizes: Sizes, peak: float) -> None:
    """`Encoder.encode_clips` from JPEG frames, end to end."""
    clips = JpegClips(sizes.encode, height=256, width=455)
    tokenizer = vocabulary(clips, config)
    checkpoint = Checkpoint(ViCLIP(config), tokenizer, Preprocessing(config.image_size))
    encoder = Encoder(checkpoint, device)
    positions = list(range(sizes.encode))
    encoder.encode_clips(clips, positions)  # compiles, once enough clips have come
    seconds = in_turn({"encode": lambda: encoder.encode_clips(clips, positions)}, 1)["encode"].wall
    flops = forward_flops(config, frames=config.frames)[0] * sizes.encode
    print(
        f"  encoding from JPEG frames, {encoder.precision}, {encoder.clips_per_batch} clips a batch: "
        f"{sizes.encode / seconds:.1f} clips/s, {flops / seconds / peak:.0%} of the peak, waiting "
        f"{encoder.use().waiting_share:.0%}",
        flush=True,
    )


def measure_training(
    device: torch.device,
    config: ViCLIPConfig,
    sizes: Sizes,
    mask_ratio: float,
    clips: int,
    workers: int,
    peak: float,
) -> None:
    """`train()` end to end, and the same step with its data on the device."""
    recipe = trial_recipe(config, mask_ratio, clips, steps=sizes.steps)
    jpeg_clips = JpegClips(clips * sizes.steps, height=256, width=455)
    tokenizer = Tokenizer.trained_on(
        jpeg_clips.captions(range(min(500, len(jpeg_clips)))), vocab_size=config.vocab_size
    )
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        train(
            recipe,
            jpeg_clips,
            folder=Path(folder),
            tokenizer=tokenizer,
            device=device,
            workers=workers,
            log=rows.append,
            note=lambda line: print(f"  {line}"),
            save_every_seconds=1e9,
        )
    timed = rows[len(rows) // 3 : -1] or rows
    end_to_end = statistics.median(row["samples_per_second"] for row in timed)
    waiting = statistics.mean(row["waiting_share"] for row in timed)

    model = ViCLIP(config).to(device).train()
    model.text_encoder.requires_grad_(False)
    plan = Plan(recipe, jpeg_clips.video_numbers)
    step = TrainingStep(recipe, model, Ranks(0, 1), device, jpeg_clips.video_numbers)
    memory = MemoryPlan()
    if device.type == "cuda":
        memory = step.fitted(plan.phases, compile=True, note=lambda line: None)[0]
    optimiser = adamw(model, recipe)
    batch = next(plan.batches())
    samples = Samples(jpeg_clips, recipe, tokenizer, all_tokens=True)
    loaded = [
        samples[SliceRows(0, mask_ratio, rows.start, batch.clips[rows.start : rows.stop])]
        for rows in part_ranges(len(batch.clips), 0, 1, memory.slices)
    ]
    loaded = [slice_.each(lambda tensor: tensor.to(device)) for slice_ in loaded]

    def one_step() -> None:
        step.gradients(batch, loaded, step.uploads.begin(loaded[0]), memory.recompute)[1].item()
        optimiser.step()

    one_step()
    seconds = in_turn({"step": one_step}, sizes.repetitions)["step"].wall
    flops = step_flops(config, frames=config.frames, mask_ratio=mask_ratio, train_text=False)
    print(
        f"  training, {mask_ratio} masked, {clips} clips, {memory}: step alone {clips / seconds:.1f} samples/s "
        f"({flops * clips / seconds / peak:.0%} of the peak), train() {end_to_end:.1f} "
        f"({end_to_end * seconds / clips:.2f} of its step), waiting {waiting:.0%}",
        flush=True,
    )
    if device.type == "cuda":
        torch.cuda.empty_cache()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("forward", "step", "feed", "gpu"))
    parser.add_argument("--clips", type=int, default=4, help="in a training step on the CPU")
    parser.add_argument("--train-text", action="store_true", help="train the text tower too")
    parser.add_argument("--fed-clips", type=int, default=128, help="in a batch of the feed")
    parser.add_argument("--fed-batches", type=int, default=8, help="of which two are not timed")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 1) - 1), help="that load samples")
    parser.add_argument("--device", default="cuda", help="of the part for a GPU")
    parser.add_argument("--tiny", action="store_true", help="a tiny model in the part for a GPU")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    if arguments.only in (None, "forward"):
        compare_forward(clips=1, repetitions=2 * arguments.repetitions)
    if arguments.only in (None, "step"):
        compare_steps(arguments.clips, arguments.repetitions, not arguments.train_text)
    if arguments.only in (None, "feed"):
        compare_feed(arguments.fed_clips, arguments.fed_batches, arguments.workers, arguments.repetitions)
    device = torch.device(arguments.device)
    if device.type != "cuda" or torch.cuda.is_available():
        if arguments.only in (None, "gpu"):
            config = TINY if arguments.tiny else L14
            sizes = TINY_SIZES if arguments.tiny else GPU_SIZES
            measure_gpu(device, config, sizes, arguments.workers)
    elif arguments.only == "gpu":
        raise SystemExit("there is no CUDA device; --device cpu --tiny runs the same program, to see that it works")


if __name__ == "__main__":
    main()
