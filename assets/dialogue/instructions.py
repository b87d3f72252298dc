"""`instructions`: the dialogues about a subset's clips as files, for trainers of video assistants."""

import dagster as dg

from assets.dialogue.interleaved import snapshot_of_subset
from resources.corpus.instructions import publish_instructions
from resources.incremental.costs import recorded
from resources.lake.store import Lake


def build_instructions(by_subset: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Builds the asset. by_subset: the partitions, the user's own subsets included."""

    @dg.asset(
        deps=["subsets", "corpus_snapshot"],
        partitions_def=by_subset,
        group_name="dialogue",
        kinds={"json", "parquet"},
        pool="select",
    )
    def instructions(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult:
        """Dialogues about the clips of a subset, as JSON lines and parquet: id, video, conversations, and their clips.

        Of the table dialogues at the snapshot that the subset was selected from; only turns of which the subset has
        every clip. A folder instructions/SUBSET beside the tables. Changes when the subset or a dialogue of it does.
        """
        subset = context.partition_key
        snapshot = snapshot_of_subset(lake, subset)
        if snapshot not in lake.tags():
            raise dg.Failure(f"the subset {subset!r} has no snapshot: materialise subsets first", allow_retries=False)
        with recorded(lake, "instructions", run_id=context.run_id, partition=subset) as ledger:
            publication = publish_instructions(lake, subset, snapshot)
            written = [file for file in publication.manifest.files if file.file.endswith(".jsonl")]
            ledger.units = sum(file.records for file in written)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(publication.manifest.made_of["digest"]),
            metadata={
                "path": dg.MetadataValue.path(str(publication.folder)),
                "snapshot": snapshot,
                "dagster/partition_row_count": sum(file.records for file in written),
                "files": len(publication.manifest.files),
                "was_written": publication.was_written,
            },
        )

    return instructions
