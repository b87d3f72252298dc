"""`report`: the dataset's numbers, plots and a contact sheet, in one HTML file."""

from collections.abc import Sequence

import dagster as dg

from assets.corpus.statistics import statistics
from resources.corpus.report import REPORT, write
from resources.corpus.snapshots import newest_snapshot_name
from resources.incremental.costs import clips_in, recorded
from resources.incremental.declaration import StageDefinition, counts_by_stage
from resources.lake.published_files import publish


def build_report(stages: Sequence[StageDefinition]) -> dg.AssetsDefinition:
    """Builds the asset. stages: the stages whose inputs the report counts."""
    needs = {name for definition in stages for name in definition.needs}

    @dg.asset(deps=[statistics], group_name="corpus", kinds={"html"}, required_resource_keys={"lake", *needs})
    def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """One self-contained HTML page: numbers, plots, failures, and clips with their captions.

        It describes the newest snapshot. Changes with the statistics.
        """
        lake = context.resources.lake
        with recorded(lake, "report", run_id=context.run_id) as ledger:
            counts = counts_by_stage(lake, stages, {name: getattr(context.resources, name) for name in needs})
            path = publish(lake, REPORT, lambda path: write(lake, counts, path))
            ledger.units = clips_in(lake)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(newest_snapshot_name(lake)), metadata={"path": dg.MetadataValue.path(path)}
        )

    return report
