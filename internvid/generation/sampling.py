"""Samples videos from text: DDIM with classifier-free guidance. The noise of a video depends on its seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import torch
from diffusers import DDIMScheduler

from internvid.generation.checkpoint import Generator
from internvid.generation.recipe import Sampling


@torch.no_grad()
def sampled(generator: Generator, prompts: Sequence[str], seeds: Sequence[int], how: Sampling) -> np.ndarray:
    """Returns a video for each prompt with its seed, [n, t, h, w, 3] uint8 RGB."""
    if len(prompts) != len(seeds):
        raise ValueError(f"{len(prompts)} prompts and {len(seeds)} seeds: each video has one of both")
    shape, device = generator.latent_shape, generator.device
    latents = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    latents = latents.to(device)
    scheduler = DDIMScheduler.from_config(
        generator.scheduler.config, timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True
    )
    scheduler.set_timesteps(how.denoiser_calls, device=device)
    guided = how.guidance != 1
    text = generator.texts([*([""] * len(prompts) if guided else []), *prompts])
    on_gpu = device.type == "cuda" and generator.recipe.precision == "bfloat16"
    for step in scheduler.timesteps:
        rows = torch.cat([latents, latents]) if guided else latents
        with torch.autocast(device.type, torch.bfloat16, enabled=on_gpu):
            predicted = generator.denoiser(rows, step.expand(len(rows)), text).float()
        if guided:
            without, with_text = predicted.chunk(2)
            predicted = without + how.guidance * (with_text - without)
        latents = scheduler.step(predicted, step, latents).prev_sample
    frames = torch.cat([generator.decoded(video) for video in latents])  # one video at a time bounds the memory
    return frames.unflatten(0, (len(prompts), -1)).permute(0, 1, 3, 4, 2).cpu().numpy()


def mp4_bytes(frames: np.ndarray, frames_per_second: float) -> bytes:
    """Encodes [t, h, w, 3] uint8 RGB as an MP4 (H.264)."""
    import av

    file = BytesIO()
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        options = {"crf": "12", "threads": "1"}
        stream = container.add_stream("libx264", rate=round(frames_per_second), options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()
