"""`internvid_jsonl`: the dataset in the format in which InternVid was released, for trainers that read it."""

import dagster as dg

from assets.corpus.corpus_snapshot import corpus_snapshot
from resources.corpus.published_export import INTERNVID_JSONL, publish_export
from resources.corpus.snapshots import newest_snapshot_name
from resources.incremental.costs import recorded
from resources.lake.store import Lake


@dg.asset(deps=[corpus_snapshot], group_name="corpus", kinds={"json"})
def internvid_jsonl(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult:
    """Every captioned clip of the newest snapshot as a JSON line: YoutubeID, Start_timestamp, End_timestamp, Caption.

    A folder with one file for each ingest batch, lists of these files, and manifest.json. Changes with the snapshot,
    and writes the files of batches that changed.
    """
    snapshot = newest_snapshot_name(lake)
    with recorded(lake, "internvid_jsonl", run_id=context.run_id) as ledger:
        publication = publish_export(lake, snapshot)
        ledger.units = publication.clips_written
    if publication.whole_because is not None:
        context.log.info(f"every file was made, because {publication.whole_because}")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(snapshot),
        metadata={
            "path": dg.MetadataValue.path(str(lake.file(INTERNVID_JSONL))),
            "snapshot": snapshot,
            "dagster/row_count": publication.manifest.clips,
            "files_written": publication.written,
            "files_kept": publication.kept,
        },
    )
