"""`clip_things`: the kinds of things that a classifier sees in a clip, for captions and search, and a vector of it."""

from collections.abc import Iterator

import pyarrow as pa

from assets.vectors.clip_embeddings import padded
from internvid.video.jpeg import rgb_of_jpeg
from resources.incremental.costs import Cost
from resources.incremental.declaration import Configuration, CostDrivers, StageRun, StageScope, stage
from resources.incremental.stage import Done, Failed, Outcome, Rows, Unit, together_or_one_by_one
from resources.lake.schema import CLIP_THINGS
from resources.lake.statements import statement
from resources.models.classifier import Classifier
from resources.models.provider import stopwatch


def configure(scope: StageScope, *, classifier: Classifier) -> Configuration:
    """There are no units without a classifier."""
    models = pa.table({"model": pa.array([classifier.model] if classifier.is_enabled else [], pa.string())})
    return Configuration(({"": classifier.version},), classifier.clips_per_call, models)


@stage(
    group="captions",
    outputs=(CLIP_THINGS,),
    configure=configure,
    pool="caption",
    kinds=("lance",),
    providers=("classifier",),
    samples={CLIP_THINGS.name: ("kinds", "probabilities", "clip_id")},
    cost=CostDrivers(requests={"classifier": "clips"}),
    workers="cpu",
)
def clip_things(run: StageRun, units: list[Unit], *, classifier: Classifier) -> Iterator[Outcome]:
    """The kinds of things in each clip's frames, with their probabilities, and a vector by which clips are alike.

    Changes when frames or the classifier do.
    """
    yield from together_or_one_by_one(units, lambda chunk: see(run, classifier, chunk))


def see(run: StageRun, classifier: Classifier, units: list[Unit]) -> list[Outcome]:
    """Classifies stored frames of each unit, a clip: the middle ones of as many equal parts."""
    from internvid.viclip.frame_choice import middle_frames

    clip_ids = [unit.key for unit in units]
    video_ids = run.lake.fetch("clips", clip_ids, ["video_id"])["video_id"].to_pylist()
    stored = run.query(statement("inputs/frames_of_clips"), {"clip_ids": clip_ids})
    frames_of = dict(zip(stored["clip_id"].to_pylist(), stored["frame_ids"].to_pylist(), strict=True))
    outcomes: list[Outcome] = []
    for unit, video_id in zip(units, video_ids, strict=True):  # clip by clip: only one clip's pictures are in memory
        frame_ids = frames_of[unit.key]
        chosen = [frame_ids[at] for at in sorted(set(middle_frames(len(frame_ids), classifier.frames)))]
        with stopwatch() as watch:
            jpegs = run.lake.fetch("frames", chosen, ["jpeg"])["jpeg"].to_pylist()
            (sight,) = classifier.see([[rgb_of_jpeg(jpeg) for jpeg in jpegs]])
        cost = Cost.of(classifier, watch.spent, frames=len(chosen))
        if isinstance(sight, Exception):
            outcomes.append(Failed(unit, sight, cost))
            continue
        row = {
            "clip_id": unit.key,
            "video_id": video_id,
            "kinds": [seen.name for seen in sight.kinds],
            "probabilities": [seen.probability for seen in sight.kinds],
            "peaks": [seen.peak for seen in sight.kinds],
            "dimensions": len(sight.vector),
            "vector": padded(sight.vector),
            "model": classifier.model,
            "revision": classifier.revision,
        }
        outcomes.append(Done(unit, (Rows.of([row], CLIP_THINGS),), cost=cost))
    return outcomes
