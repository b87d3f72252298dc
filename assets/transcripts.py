"""`transcripts`: what is said within a clip, and that in English."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.ingest_batches import ingest_batches
from assets.speech import speech
from internvid.speech.cues import Cue
from internvid.speech.division import VERSION, words_within
from resources.costs import FREE, Cost
from resources.door import stopwatch
from resources.lake import Lake
from resources.refresh import (
    Done,
    Failed,
    Outcome,
    Output,
    Rows,
    Skipped,
    Step,
    Unit,
    batch_counts_spec,
    refresh,
    together_or_one_by_one,
)
from resources.samples import rows_sample
from resources.schema import TRANSCRIPTS
from resources.statements import statement
from resources.translator import Translator, Untranslated

if TYPE_CHECKING:
    from internvid.text.generated import Generated


def step(translator: Translator) -> Step:
    """What is said in English hangs on no translator."""
    versions = {"english": VERSION, "other": f"{VERSION}+{translator.version}"}
    return Step("transcripts", "transcripts_units", (Output(TRANSCRIPTS, versions),), chunk=translator.texts_per_call)


@dg.asset(
    partitions_def=ingest_batches,
    deps=[dg.AssetKey("clips"), speech],
    group_name="speech",
    pool="speech",
    kinds={"lance"},
    check_specs=[batch_counts_spec("transcripts")],
    description="What is said within a clip, in its own language and in English.",
)
def transcripts(
    context: dg.AssetExecutionContext, lake: Lake, translator: Translator
) -> Iterator[dg.MaterializeResult]:
    """One row is what is said within a clip. Changes when a cue in it, or the translator of its language, does."""
    batch = context.partition_key
    yield from refresh(
        context,
        lake,
        step(translator),
        lambda units: together_or_one_by_one(units, lambda some: divide(lake, translator, some, batch)),
        sample=lambda table: rows_sample(lake, table, batch),
    )


def divide(lake: Lake, translator: Translator, units: list[Unit], ingest_batch: str) -> list[Outcome]:
    """A row for each unit, a clip in which words are said."""
    rows = lake.query(
        statement("operations/cues_of_clips"),
        {"clip_ids": [unit.key for unit in units]},
        tables=["clips", "speech"],
        only={"ingest_batch": ingest_batch},
    ).to_pylist()
    said = {clip_id: _said(list(cues)) for clip_id, cues in groupby(rows, key=lambda row: row["clip_id"])}
    foreign = [unit for unit in units if said[unit.key]["text"] and said[unit.key]["language"] not in (None, "en")]
    english: dict[str, Generated | Exception] = {}
    costs: dict[str, Cost] = {}
    if foreign:
        texts = [(said[unit.key]["text"], said[unit.key]["language"]) for unit in foreign]
        with stopwatch() as watch:
            translated = translator.translate(texts)
        english = dict(zip((unit.key for unit in foreign), translated, strict=True))
        costs = {key: _cost(translator, watch.seconds / len(foreign), answer) for key, answer in english.items()}
    return [
        _outcome(translator, unit, said[unit.key], english.get(unit.key), costs.get(unit.key, FREE)) for unit in units
    ]


def _said(cues: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The words within the clip that the cues overlap, and of which language and origin they are."""
    parts = []
    for cue in cues:
        whole = Cue(cue["start_seconds"], cue["end_seconds"], cue["text"])
        if part := words_within(whole, cue["clip_start_seconds"], cue["clip_end_seconds"]):
            parts.append(part)
    of = {name: cues[0][name] for name in ("language", "source", "model", "revision")}
    return {"text": " ".join(parts), "cues": len(parts), **of}


def _cost(translator: Translator, seconds: float, answer: "Generated | Exception") -> Cost:
    if not translator.is_set:
        return FREE
    return Cost.of(translator, seconds, said=None if isinstance(answer, Exception) else answer)


def _outcome(
    translator: Translator, unit: Unit, said: dict[str, Any], english: "Generated | Exception | None", cost: Cost
) -> Outcome:
    if not said["text"]:
        return Skipped(unit, "NothingToDo", "no speech in it")
    if isinstance(english, Exception) and not isinstance(english, Untranslated):
        return Failed(unit, english, cost)
    row = {"clip_id": unit.key, "video_id": unit.key.split("_")[0], **said, "english": None, "why_no_english": None}
    by: dict[str, str | None] = {"translator": None, "translator_revision": None}
    if said["language"] == "en":
        row["english"] = said["text"]
    elif said["language"] is None:
        row["why_no_english"] = "its language could not be told"
    elif isinstance(english, Untranslated):
        row["why_no_english"] = str(english)
    elif english is not None:
        row["english"] = english.text
        by = {"translator": translator.model, "translator_revision": translator.revision}
    return Done(unit, (Rows.of([row | by], TRANSCRIPTS),), cost=cost)
