"""`exports`: subsets as files, in the forms that trainers and hubs read."""

import shutil
from pathlib import Path
from typing import Optional

import dagster as dg

from resources.corpus.exports.layout import ExportFolder
from resources.corpus.exports.manifest import Head, read_head
from resources.corpus.subset_files import SubsetFiles
from resources.incremental.costs import recorded
from resources.incremental.faults import SystemFault
from resources.incremental.materialization import batch_counts, batch_counts_spec
from resources.lake.store import Lake
from resources.media.store import Media

FOLDER = "exports"  # beside the tables


class ExportConfig(dg.Config):
    """clips: exact, copy or none. max_height, fps: of exact clips. folder: where exports lie, on this machine; by
    default beside the tables.
    """

    clips: str = "exact"
    max_height: Optional[int] = None  # noqa: UP045 - Dagster's config knows no other union
    fps: Optional[float] = None  # noqa: UP045
    folder: Optional[str] = None  # noqa: UP045


def build_exports(partitions_def: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Builds the asset. partitions_def: by form and subset; Dagster maps the second to the partition of `subsets`."""

    @dg.asset(
        name="exports",
        deps=["subsets"],
        partitions_def=partitions_def,
        group_name="model",
        pool="export",
        check_specs=[batch_counts_spec("exports")],
    )
    def exports(
        context: dg.AssetExecutionContext, config: ExportConfig, lake: Lake, media: Media, subset_files: SubsetFiles
    ) -> dg.MaterializeResult:
        """A subset as files in one form: a folder with clips, captions, dataset card, manifest and checksums.

        It is stale when its subset changed, and is then written again.
        """
        form, subset = context.partition_key.split("|")
        path = export_path(lake, config, form, subset)
        with recorded(lake, "exports", run_id=context.run_id) as ledger:
            head = make(lake, media, subset_files, config, path, form=form, subset=subset)
            ledger.units = head.clips_exported
        failed = sum(head.failures.by_class.values())
        units = {
            "total": head.clips_selected,
            "done": head.clips_exported,
            "failed": failed,
            "pending": head.clips_selected - head.clips_exported - failed,
        }
        return dg.MaterializeResult(
            check_results=[batch_counts("exports", units)],
            data_version=dg.DataVersion(head.content_sha256),
            metadata={
                "path": dg.MetadataValue.path(str(path)),
                "snapshot": head.plan.snapshot,
                "dagster/row_count": head.clips_exported,
                "clips_that_could_not_be_cut": failed,
                "bytes": head.bytes,
            },
        )

    return exports


def export_path(lake: Lake, config: ExportConfig, form: str, subset: str) -> Path:
    """Returns the folder of an export. Raises dg.Failure where the lake is in a bucket and no folder is given."""
    if config.folder is not None:
        return Path(config.folder) / subset / form
    beside = lake.file(FOLDER)
    if not beside.is_local:
        raise dg.Failure(f"exports are written to a disk, and {lake.root} is none: configure `folder`")
    return beside.on_disk / subset / form


def make(
    lake: Lake, media: Media, subset_files: SubsetFiles, config: ExportConfig, path: Path, *, form: str, subset: str
) -> Head:
    """Makes the export; one of an older state of the subset gives way."""
    from internvid.cutting.exact import Encoding
    from resources.corpus.exports.register import make_registered_export
    from resources.corpus.exports.run import FolderInUse, Options, is_complete, plan_of
    from resources.corpus.exports.selection import selection

    try:
        options = Options(form, config.clips, Encoding(config.max_height, config.fps))
        chosen = selection(lake, subset_files, subset=subset, at=None)
        try:
            is_complete(path, plan_of(chosen, options))
        except FolderInUse:
            if read_head(path) is None and ExportFolder(path).plan() is None:
                raise  # it holds what no export wrote
            shutil.rmtree(path)
        return make_registered_export(lake, media, path, chosen, options)
    except ValueError as error:  # NothingToExport, FolderInUse, or a kind of clips that is none
        raise dg.Failure(str(error), allow_retries=False) from error
    except SystemFault as fault:
        raise dg.Failure(f"exports: {fault}", metadata={"fault": type(fault).__name__}, allow_retries=False) from fault
