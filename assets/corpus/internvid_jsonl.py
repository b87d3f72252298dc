"""`internvid_jsonl`: the dataset in the format in which InternVid was released, for trainers that read it."""

from pathlib import Path

import dagster as dg

from assets.corpus.corpus_snapshot import corpus_snapshot
from resources.corpus.exports import INTERNVID_JSONL, export
from resources.corpus.snapshots import newest_snapshot_name
from resources.incremental.costs import recorded
from resources.lake.published_files import publish
from resources.lake.store import Lake


@dg.asset(deps=[corpus_snapshot], group_name="corpus", kinds={"json"})
def internvid_jsonl(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult:
    """Every captioned clip of the newest snapshot as a JSON line: YoutubeID, Start_timestamp, End_timestamp, Caption.

    Changes with the snapshot.
    """
    snapshot = newest_snapshot_name(lake)
    lines = 0

    def write(path: Path) -> None:
        nonlocal lines
        lines = export(lake, path, at=snapshot)

    with recorded(lake, "internvid_jsonl", run_id=context.run_id) as ledger:
        path = publish(lake, INTERNVID_JSONL, write)
        ledger.units = lines
    return dg.MaterializeResult(
        data_version=dg.DataVersion(snapshot),
        metadata={"path": dg.MetadataValue.path(path), "snapshot": snapshot, "dagster/row_count": lines},
    )
