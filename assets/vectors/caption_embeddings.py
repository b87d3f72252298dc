"""`caption_embeddings`: vectors of captions in the space that they share with clips, by the active checkpoint."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from assets.vectors.clip_embeddings import configure, vector_row
from resources.incremental.costs import Cost
from resources.incremental.declaration import CostDrivers, StageRun, stage
from resources.incremental.stage import Done, Outcome, Rows, Unit, together_or_one_by_one
from resources.lake.schema import CAPTION_EMBEDDINGS
from resources.models.aligner import ActiveCheckpoint, Aligner, require_telling_apart
from resources.models.provider import stopwatch

if TYPE_CHECKING:
    from internvid.video_text.folders import LoadedEncoder


@stage(
    group="vectors",
    outputs=(CAPTION_EMBEDDINGS,),
    configure=configure,
    pool="embed",
    kinds=("lance", "pytorch"),
    resources=("aligner",),
    reads=("active_checkpoint",),
    samples={CAPTION_EMBEDDINGS.name: ("model", "dimensions", "clip_id")},
    cost=CostDrivers(requests={"aligner": "caption_vectors"}),
    workers="gpu",
)
def caption_embeddings(run: StageRun, units: list[Unit], *, aligner: Aligner) -> Iterator[Outcome]:
    """ViCLIP vectors of each clip's caption, by the active checkpoint. They are scored against the clip's own vector.

    Changes when the caption or the active checkpoint does.
    """
    active = aligner.active(run.lake)
    assert active is not None, "without a checkpoint there are no units"
    encoder = aligner.encoder(run.lake, active)
    yield from together_or_one_by_one(units, lambda chunk: embed(run, encoder, active, chunk))


def embed(run: StageRun, encoder: "LoadedEncoder", active: ActiveCheckpoint, units: list[Unit]) -> list[Outcome]:
    """Embeds the caption of each unit, a clip."""
    captions = run.lake.fetch("clip_captions", [unit.key for unit in units], ["video_id", "caption"])
    texts = captions["caption"].to_pylist()
    with stopwatch() as watch:
        vectors = encoder.encode_texts(texts)
    require_telling_apart(active, vectors, texts)
    spent = watch.spent / len(units)
    cost = Cost(active.checkpoint_id, str(encoder.device), spent.seconds, spent.processor_seconds)
    return [
        Done(unit, (Rows.of([vector_row(unit.key, video_id, active, vector)], CAPTION_EMBEDDINGS),), cost=cost)
        for unit, video_id, vector in zip(units, captions["video_id"].to_pylist(), vectors, strict=True)
    ]
