"""`clip_captions`: a clip's caption, summarised from the captions of its frames or imported with its annotation."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from internvid.captions.summary import ClipMeasures, ClipSummary, TimedCaption, phrases_of
from internvid.captions.words import nouns_and_verbs
from internvid.text.search_terms import indexed_terms
from internvid.things.kinds import SeenKind
from internvid.things.naming import searched_words
from resources.incremental.costs import Cost, Spent, starting
from resources.incremental.declaration import Configuration, CostDrivers, StageRun, StageScope, stage
from resources.incremental.samples import contact_sheet, rows_sample
from resources.incremental.stage import Done, Failed, Outcome, Rows, Unit, together_or_one_by_one
from resources.lake.schema import CLIP_CAPTIONS
from resources.lake.statements import statement
from resources.lake.store import Lake
from resources.models.provider import stopwatch
from resources.models.summariser import Summariser

IMPORTED = "imported"  # variant of the clips that came with a caption
# Nouns, verbs and searched words are part of the row, so what makes them is part of its version.
WORDS_VERSION = "words-3+hanta-1.2"
MEASURES = ("motion", "stillness", "blackness", "pan_x", "pan_y", "zoom", "moving_share", "mover_x", "mover_y")


def configure(scope: StageScope, *, summariser: Summariser) -> Configuration:
    """The version names the summariser, where the caption is not imported, and the tagger of nouns and verbs."""
    versions = {"": f"{summariser.version}+{WORDS_VERSION}", IMPORTED: f"{IMPORTED}+{WORDS_VERSION}"}
    return Configuration((versions,), chunk_size=summariser.clips_per_call)


def _sample(lake: Lake, table: str, batch: str) -> dict[str, Any]:
    rows = rows_sample(lake, table, batch, ("caption", "nouns", "verbs", "clip_id"))
    return contact_sheet(lake, table, batch) | rows


@stage(
    group="captions",
    outputs=(CLIP_CAPTIONS,),
    configure=configure,
    pool="caption",
    kinds=("lance", "pytorch"),
    providers=("summariser",),
    variants={"": "summariser"},
    samples={CLIP_CAPTIONS.name: _sample},
    cost=CostDrivers(requests={"summariser": "clips"}),
    workers="gpu",
)
def clip_captions(run: StageRun, units: list[Unit], *, summariser: Summariser) -> Iterator[Outcome]:
    """A clip's caption, summarised from its frame captions and motion, or imported; with its nouns and verbs.

    Changes when the clip, the kinds of things seen in it, a caption of its frames or the summariser does.
    """
    yield from caption(run, summariser, units)


def caption(run: StageRun, summariser: Summariser, units: list[Unit]) -> Iterator[Outcome]:
    """Yields a caption for each unit, a clip: summarised, or as imported."""
    with starting():
        nouns_and_verbs("The first caption loads the tagger.")
    yield from as_imported(run, [unit for unit in units if unit.variant == IMPORTED])
    to_summarise = [unit for unit in units if unit.variant != IMPORTED]
    if to_summarise:
        yield from together_or_one_by_one(to_summarise, lambda chunk: summarise(run, summariser, chunk))


def as_imported(run: StageRun, units: list[Unit]) -> Iterator[Outcome]:
    """Yields the caption that was released with each clip's span. Its `model` is the name of the dataset."""
    clips = run.lake.fetch("clips", [unit.key for unit in units], ["video_id", "annotation_id"]).to_pylist()
    annotations = run.lake.fetch(
        "annotations", [clip["annotation_id"] for clip in clips], ["dataset", "caption"]
    ).to_pylist()
    things = _things_of(run, [unit.key for unit in units])
    for unit, clip, annotation in zip(units, clips, annotations, strict=True):
        row = {
            "clip_id": unit.key,
            "video_id": clip["video_id"],
            "caption": annotation["caption"],
            "model": annotation["dataset"],
            "revision": None,
            "status": "success",
            "prompt_tokens": None,
            "output_tokens": None,
            "evidence": None,
            **_words(annotation["caption"], things[unit.key]),
        }
        yield Done(unit, (Rows.of([row], CLIP_CAPTIONS),))


def _words(caption: str, things: tuple[SeenKind, ...], scene: str = "") -> dict[str, Any]:
    """Returns the columns that follow from the caption and the kinds of things in the clip.

    scene: what is known of the picture and may not be said in the caption, since it is found by that too.
    """
    terms = " ".join(filter(None, [indexed_terms(caption), indexed_terms(scene), searched_words(things)]))
    return {"caption_terms": terms, **vars(nouns_and_verbs(caption))}


def _things_of(run: StageRun, clip_ids: list[str]) -> dict[str, tuple[SeenKind, ...]]:
    """Returns the kinds of things seen in each clip; none where no classifier looked at it."""
    rows = run.query(statement("inputs/things_of_clips"), {"clip_ids": clip_ids}).to_pylist()
    seen = {row["clip_id"]: zip(row["kinds"], row["probabilities"], row["peaks"], strict=True) for row in rows}
    return {clip_id: tuple(SeenKind(*kind) for kind in seen.get(clip_id, ())) for clip_id in clip_ids}


def summarise(run: StageRun, summariser: Summariser, units: list[Unit]) -> list[Outcome]:
    """Summarises the frame captions of each unit, a clip, in one call of the summariser."""
    clip_ids = [unit.key for unit in units]
    columns = ["clip_id", "video_id", "start_seconds", "end_seconds", *MEASURES]
    clips = run.lake.fetch("clips", clip_ids, columns).to_pylist()
    rows = run.query(statement("inputs/frame_captions_of_clips"), {"clip_ids": clip_ids}).to_pylist()
    captions = {clip_id: list(rows_of_clip) for clip_id, rows_of_clip in groupby(rows, key=lambda row: row["clip_id"])}
    things = _things_of(run, clip_ids)
    to_summarise = [
        (_measures(clip, things[clip["clip_id"]]), _timed(clip, captions[clip["clip_id"]])) for clip in clips
    ]
    with stopwatch() as watch:
        summaries = summariser.summarise(to_summarise)
    spent = watch.spent / len(units)
    return [
        _outcome(summariser, unit, clip, summary, spent, _words_of(summary, things[unit.key], timed))
        for unit, clip, (_, timed), summary in zip(units, clips, to_summarise, summaries, strict=True)
    ]


def _measures(clip: dict[str, Any], things: tuple[SeenKind, ...]) -> ClipMeasures:
    return ClipMeasures(
        clip["end_seconds"] - clip["start_seconds"], **{name: clip[name] for name in MEASURES}, things=things
    )


def _timed(clip: dict[str, Any], captions: list[dict[str, Any]]) -> list[TimedCaption]:
    return [
        TimedCaption(
            seconds=row["seconds"] - clip["start_seconds"],
            scale=row["scale"],
            caption=row["caption"],
            evidence=row["evidence"],
            model=row["model"],
        )
        for row in captions
    ]


def _words_of(
    summary: ClipSummary | Exception, things: tuple[SeenKind, ...], captions: list[TimedCaption]
) -> dict[str, Any]:
    """Returns the columns of words. Where the embedded captioner measured the middle frame, its caption is searched."""
    if isinstance(summary, Exception):
        return {}
    coarse = [caption.caption for caption in captions if caption.scale == "coarse" and phrases_of(caption) is not None]
    return _words(summary.caption, things, coarse[0] if coarse else "")


def _outcome(
    summariser: Summariser,
    unit: Unit,
    clip: dict[str, Any],
    summary: ClipSummary | Exception,
    spent: Spent,
    words: dict[str, Any],
) -> Outcome:
    if isinstance(summary, Exception):
        return Failed(unit, summary, Cost.of(summariser, spent))
    row = {
        "clip_id": unit.key,
        "video_id": clip["video_id"],
        "model": summariser.model,
        "revision": summariser.revision,
        **vars(summary),
        **words,
    }
    return Done(unit, (Rows.of([row], CLIP_CAPTIONS),), cost=Cost.of(summariser, spent, tokens=summary))
