"""`generated_videos`: videos that a trained generator makes of prompts, with seeds."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.generation.generation_checkpoints import newest_generator
from assets.partitions import GENERATOR
from internvid.generation.recipe import Sampling
from resources.corpus.held_out import held_out_clips
from resources.incremental.declaration import Configuration, StageRun, StageScope, stage
from resources.incremental.provenance import digest
from resources.incremental.stage import Done, Outcome, Rows, Unit, together_or_one_by_one
from resources.lake.schema import GENERATED_VIDEOS
from resources.lake.store import Lake
from resources.models.generator import Generators

DEFAULT_PROMPTS = 4  # captions of held-out clips, where no prompts are configured
VIDEOS_PER_CALL = 8
SHOWN = 4  # videos in the metadata


class GenerationConfig(dg.Config):
    """prompts: texts to make videos of; else captions of held-out clips. seeds: of the noise; a video of each prompt
    with each. denoiser_calls: of the sampler. guidance: weight of the text against no text; 1: none.
    """

    prompts: list[str] = []
    seeds: list[int] = [0]
    denoiser_calls: int = Sampling.denoiser_calls
    guidance: float = Sampling.guidance


def configure(scope: StageScope, *, generators: Generators) -> Configuration:
    """The version names the sampler; a video depends on the checkpoint, its prompt and its seed."""
    config = scope.config or GenerationConfig()
    version = Sampling(config.denoiser_calls, config.guidance).version
    if scope.partition is None or scope.lake is None:
        return Configuration(({"": version},), parameters=pa.table({}))
    row = newest_generator(scope.lake, scope.partition)
    prompts = _prompts(scope.lake, config, row["snapshot"]) if row else {}
    pairs = [(prompt, seed) for prompt in prompts for seed in config.seeds]
    parameters = pa.table(
        {
            "generator": pa.array([scope.partition] * len(pairs), pa.string()),
            "prompt": pa.array([prompt for prompt, _ in pairs], pa.string()),
            "seed": pa.array([seed for _, seed in pairs], pa.int64()),
        }
    )
    return Configuration(({"": version},), chunk_size=VIDEOS_PER_CALL, parameters=parameters)


def _prompts(lake: Lake, config: GenerationConfig, snapshot: str) -> dict[str, tuple[str | None, str | None]]:
    """Returns each prompt with the clip and the video whose caption it is, those of the user with none."""
    if config.prompts:
        return dict.fromkeys(config.prompts, (None, None))
    if snapshot not in lake.tags():
        return {}
    clip_ids = held_out_clips(lake, snapshot)["clip_id"].to_pylist()[: 4 * DEFAULT_PROMPTS]
    rows = lake.query(
        "select clip_id, video_id, caption from clip_captions "
        "where clip_id in (select unnest($clip_ids)) order by md5(clip_id)",
        {"clip_ids": clip_ids},
        tables=["clip_captions"],
        at=snapshot,
    )
    by_caption = {row["caption"]: (row["clip_id"], row["video_id"]) for row in rows.to_pylist()}
    return dict(list(by_caption.items())[:DEFAULT_PROMPTS])


def _sample(lake: Lake, table: str, generator: str) -> dict[str, Any]:
    """Returns the newest videos as moving pictures, with their prompts."""
    from internvid.generation.shown import shown_videos

    rows = lake.query(
        "select prompt, seed, mp4 from generated_videos order by written_at desc, generated_video_id limit $limit",
        {"limit": SHOWN},
        tables=[table],
        only={"generator": generator},
    ).to_pylist()
    if not rows:
        return {}
    captions = [f"{row['prompt']} (seed {row['seed']})" for row in rows]
    return {"videos": dg.MetadataValue.md(shown_videos([row["mp4"] for row in rows], captions))}


@stage(
    group="generation",
    outputs=(GENERATED_VIDEOS,),
    configure=configure,
    partition=GENERATOR,
    pool="embed",
    kinds=("pytorch", "lance"),
    resources=("generators",),
    reads=("generation_checkpoints",),
    samples={GENERATED_VIDEOS.name: _sample},
    config=GenerationConfig,
)
def generated_videos(run: StageRun, units: list[Unit], *, generators: Generators) -> Iterator[Outcome]:
    """Videos that the newest checkpoint of a generator makes: one of each prompt with each seed.

    Changes when the checkpoint or the sampler does; videos of an earlier one stay.
    """
    config = run.config or GenerationConfig()
    row = newest_generator(run.lake, run.partition)
    assert row is not None, "without a checkpoint there are no units"
    prompts_known = _prompts(run.lake, config, row["snapshot"])
    loaded = generators.loaded(run.lake, row["checkpoint_id"])

    def compute(chunk: list[Unit]) -> list[Outcome]:
        asked = [_asked(unit) for unit in chunk]
        prompts, seeds = [prompt for prompt, _ in asked], [seed for _, seed in asked]
        videos = loaded.sample(prompts, seeds, denoiser_calls=config.denoiser_calls, guidance=config.guidance)
        outcomes: list[Outcome] = []
        for unit, (prompt, seed), video in zip(chunk, asked, videos, strict=True):
            frames, height, width, _ = video.frames.shape
            clip_id, video_id = prompts_known[prompt]
            about = {
                "generated_video_id": f"{row['checkpoint_id']}/{seed}/{digest(prompt, video.sampling)[:16]}",
                "prompt_of_generator": unit.key,
                "checkpoint_id": row["checkpoint_id"],
                "prompt": prompt,
                "clip_id": clip_id,
                "video_id": video_id,
                "seed": seed,
                "sampling": video.sampling,
                "mp4": video.mp4,
                "frames": frames,
                "frames_per_second": video.frames_per_second,
                "width": width,
                "height": height,
            }
            outcomes.append(Done(unit, (Rows.of([about], GENERATED_VIDEOS),)))
        return outcomes

    yield from together_or_one_by_one(units, compute)


def _asked(unit: Unit) -> tuple[str, int]:
    """Returns prompt and seed of a unit, whose key is generator, seed and prompt, joined by /."""
    _, seed, prompt = unit.key.split("/", 2)
    return prompt, int(seed)
