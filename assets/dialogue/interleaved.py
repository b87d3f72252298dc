"""`interleaved`: the videos of a subset as documents of clips, captions and speech in order."""

from collections.abc import Iterator

import pyarrow as pa

from assets.partitions import SUBSET
from internvid.interleaved.documents import FORMS, Form
from resources.corpus.interleaving import Interleaving, made_documents, publish_documents
from resources.incremental.declaration import Configuration, StageRun, StageScope, stage
from resources.incremental.stage import Done, Outcome, Skipped, Unit, one_by_one
from resources.lake.schema import INTERLEAVED
from resources.lake.store import Lake

WHY_NONE: dict[str, str] = {
    "a": "the subset has no clip",
    "b": "nothing is said in a clip of the subset",
    "c": "no side of the split has two videos",
}


def configure(scope: StageScope, *, interleaving: Interleaving) -> Configuration:
    """Each form has a version of its own; without a partition there are no units."""
    versions: dict[str, str] = {form: interleaving.version(form) for form in FORMS}
    subsets = [] if scope.partition is None else [scope.partition] * len(FORMS)
    forms = list(FORMS) if subsets else []
    parameters = pa.table({"subset": pa.array(subsets, pa.string()), "form": pa.array(forms, pa.string())})
    return Configuration((versions,), chunk_size=1, parameters=parameters)


def publish(run: StageRun, *, interleaving: Interleaving) -> None:
    """Writes the documents as files, after each run."""
    snapshot = snapshot_of_subset(run.lake, run.partition)
    if snapshot is None:
        return
    publication = publish_documents(run.lake, interleaving, run.partition, snapshot)
    number = len(publication.manifest.files)
    run.log(f"{publication.folder}: {number} files {'written' if publication.was_written else 'as they were'}")


@stage(
    group="dialogue",
    outputs=(INTERLEAVED,),
    configure=configure,
    partition=SUBSET,
    pool="select",
    kinds=("lance", "json", "parquet"),
    resources=("interleaving",),
    samples={INTERLEAVED.name: ("texts", "form", "clip_count", "dropped_videos", "document_id")},
    finish=publish,
)
def interleaved(run: StageRun, units: list[Unit], *, interleaving: Interleaving) -> Iterator[Outcome]:
    """A document of a subset: the clips of a video in order with their captions, and what is said in them.

    The paper's InternVid-ICL, in its three forms. Made from the snapshot that the subset was selected from, and written
    to the folder interleaved/SUBSET beside the tables, as JSON lines and parquet. Changes when the subset does.
    """
    yield from one_by_one(units, lambda unit: _made(run.lake, interleaving, run.partition, unit))


def _made(lake: Lake, interleaving: Interleaving, subset: str, unit: Unit) -> Outcome:
    snapshot = snapshot_of_subset(lake, subset)
    if snapshot not in lake.tags():
        raise ValueError(f"the snapshot of {subset!r} was removed: `internvid subset make {subset}` selects it again")
    form: Form = unit.variant  # type: ignore[assignment]  # one of FORMS, by the units file
    made = made_documents(lake, interleaving, subset, form, snapshot)
    if made is None:
        return Skipped(unit, "NothingToWrite", WHY_NONE[form])
    rows, until_read = made
    return Done(unit, (rows,), release=until_read.close)


def snapshot_of_subset(lake: Lake, subset: str) -> str | None:
    """Returns the snapshot that the subset was selected from; None where it was not."""
    rows = lake.known("subset_snapshots", [subset], ["snapshot"])
    return rows["snapshot"][0].as_py() if rows.num_rows else None
