"""Dagster's view of a stage: its asset, built from the declaration, and what a run reports to the UI."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg

from resources.incremental.declaration import Computation, StageDefinition, StageRun, StageScope
from resources.incremental.engine import Engine
from resources.incremental.faults import SystemFault, TableUnreadable
from resources.incremental.retries import FailurePolicy
from resources.incremental.runner import process_pending
from resources.incremental.samples import sample_of
from resources.incremental.stage import Compute, Stage, units_file
from resources.lake.schema import Table
from resources.lake.store import Lake

SECONDS_TO_NEXT_READING = 1.0  # versions of several tables are removed one after the other
COUNTS_CHECK = "batch_counts_add_up"


def build_asset(
    definition: StageDefinition,
    partitions_def: dg.PartitionsDefinition,
    *,
    with_retries: bool = True,
    **attributes: Any,
) -> dg.AssetsDefinition:
    """Builds the asset of a stage, with one output per table.

    with_retries: whether a step that ended with an unknown error runs once more, after some seconds.
    attributes: attributes of each `dg.AssetSpec` that are the same for all outputs (owners, automation condition, …).
    """
    providers = {f"provider/{name}": "" for name in definition.providers}
    references = code_references(definition)
    engine = ("engine",) if definition.workers else ()

    @dg.multi_asset(
        name=definition.name,
        specs=[
            dg.AssetSpec(
                table.name,
                deps=[dg.AssetKey(name) for name in definition.inputs],
                group_name=definition.group,
                kinds=set(definition.kinds),
                tags={"pool": definition.pool, **providers},
                description=f"One row is {table.row_is}.\n\n{definition.description}",
                metadata=references,
                **attributes,
            )
            for table in definition.outputs
        ],
        partitions_def=partitions_def,
        pool=definition.pool,
        required_resource_keys={"lake", "failure_policy", *engine, *definition.needs},
        check_specs=[batch_counts_spec(table.name) for table in definition.outputs],
        config_schema=definition.config.to_fields_dict() if definition.config else None,
        # No backfill policy: Dagster's default is one run for each partition. An explicit `multi_run(1)` does the same,
        # but tags its runs with a range of partitions, and whoever looks for the runs of a batch does not find them.
        retry_policy=dg.RetryPolicy(max_retries=1, delay=10, jitter=dg.Jitter.FULL) if with_retries else None,
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        yield from materialize_stage(context, definition)

    return asset


def code_references(definition: StageDefinition) -> dict[str, dg.CodeReferencesMetadataValue]:
    """Returns where the UI leads to: the stage's function, and the statement that lists its units."""
    code = inspect.unwrap(definition.compute).__code__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # the version is pinned
        return {
            "dagster/code_references": dg.CodeReferencesMetadataValue(
                code_references=[
                    dg.LocalFileCodeReference(
                        file_path=code.co_filename, line_number=code.co_firstlineno, label=definition.name
                    ),
                    dg.LocalFileCodeReference(
                        file_path=str(units_file(definition.units)), label=f"units of {definition.name}"
                    ),
                ]
            )
        }


def materialize_stage(context: dg.AssetExecutionContext, definition: StageDefinition) -> Iterator[dg.MaterializeResult]:
    """Brings the stage's tables up to date for the run's partition; yields one result per output table."""
    lake: Lake = context.resources.lake
    needed = {name: getattr(context.resources, name) for name in definition.needs}
    config = definition.config(**context.op_execution_context.op_config) if definition.config else None
    run = StageRun(lake, context.partition_key, context.run_id, context.log.info, config, context, definition.partition)
    with _faults_as_failures(context, definition.name):
        stage = definition.configured(StageScope(lake, context.partition_key, config), needed)
    yield from refresh(
        context,
        lake,
        stage,
        Computation(definition, run, needed),
        policy=context.resources.failure_policy,
        engine=context.resources.engine if definition.workers else None,
        sample=lambda table: sample_of(lake, definition.samples.get(table), table, context.partition_key),
    )
    if definition.finish is not None:
        definition.finish(run, **needed)


def refresh(
    context: dg.AssetExecutionContext,
    lake: Lake,
    stage: Stage,
    compute: Compute,
    *,
    policy: FailurePolicy | None = None,
    engine: Engine | None = None,
    sample: Callable[[str], Mapping[str, Any]] = lambda table: {},
) -> Iterator[dg.MaterializeResult]:
    """Processes the stage's pending units in the run's partition; yields one result per output table.

    engine: where the units are computed; in this process unless given. sample: returns further metadata of a table,
    from the committed rows (a few rows, a contact sheet).
    Raises dg.Failure with one message, and without a retry, where the system is at fault: a person has to act first.
    """
    partition = context.partition_key
    with _faults_as_failures(context, stage.name):
        report = process_pending(
            lake,
            stage,
            compute,
            partition=partition,
            run_id=context.run_id,
            policy=policy,
            log=context.log.info,
            engine=engine,
        )
    for output in stage.outputs:
        name = output.table.name
        rows_in_partition, unchanged, data_version = _content(lake, output.table, partition, context.run_id)
        context.log.info(
            f"{name}: {report.added.get(name, 0):,} rows added, {report.changed.get(name, 0):,} changed, "
            f"{report.removed.get(name, 0):,} removed, {unchanged:,} unchanged"
        )
        yield dg.MaterializeResult(
            asset_key=name,
            data_version=dg.DataVersion(data_version),
            metadata={
                **sample(name),  # first, because the UI lists metadata in this order, and people want the pictures
                **table_metadata(lake, output.table),
                "dagster/partition_row_count": rows_in_partition,
                "rows_added": report.added.get(name, 0),
                "rows_changed": report.changed.get(name, 0),
                "rows_removed": report.removed.get(name, 0),
                "rows_unchanged": unchanged,
                "units_processed": report.processed,
                **{f"units_{state}": number for state, number in report.units.items()},
                "seconds": round(report.seconds, 3),
                "stage_version": output.readable_version,
            },
            check_results=[batch_counts(name, report.units)],
        )


@contextmanager
def _faults_as_failures(context: dg.AssetExecutionContext, stage: str) -> Iterator[None]:
    """Makes a fault of the system a failure with one message, without a retry: a person has to act first.

    A table that cannot be read is read once more, at its newest version.
    """
    try:
        yield
    except SystemFault as fault:
        if isinstance(fault, TableUnreadable) and context.op_execution_context.retry_number == 0:
            context.log.warning(f"{stage}: {fault}. It is read once more")
            raise dg.RetryRequested(max_retries=1, seconds_to_wait=SECONDS_TO_NEXT_READING) from fault
        raise dg.Failure(f"{stage}: {fault}", metadata={"fault": type(fault).__name__}, allow_retries=False) from fault


def table_metadata(lake: Lake, table: Table) -> dict[str, Any]:
    """Returns the metadata of any table for the UI: its place, number of rows, and columns with their meanings."""
    columns = [dg.TableColumn(column.name, str(column.type), description=column.meaning) for column in table.columns]
    return {
        "dagster/table_name": table.name,
        "dagster/uri": lake.uri(table.name),
        "dagster/storage_kind": "lance",
        "dagster/row_count": lake.dataset(table.name).count_rows(),
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/column_lineage": column_lineage(table),
    }


def column_lineage(table: Table) -> dg.TableColumnLineage:
    """Returns, for each column, the columns of other tables that it is computed or copied from."""
    origins = {
        column.name: [origin.split(".") for origin in column.derived_from if not origin.startswith(f"{table.name}.")]
        for column in table.columns
    }
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(dg.AssetKey(asset), column) for asset, column in pairs]
            for name, pairs in origins.items()
            if pairs
        }
    )


def batch_counts(table: str, units: Mapping[str, int]) -> dg.AssetCheckResult:
    """Checks that every unit of the batch just written is done, failed, skipped or waiting: none is pending."""
    return dg.AssetCheckResult(
        asset_key=table,
        check_name=COUNTS_CHECK,
        passed=units["pending"] == 0,
        metadata=dict(units),
        description="every unit of the batch is done, failed or skipped, or waits until a known time",
    )


def batch_counts_spec(table: str) -> dg.AssetCheckSpec:
    """Returns the check that each asset of a stage has."""
    return dg.AssetCheckSpec(
        COUNTS_CHECK, asset=table, description="Input = done + failed + skipped + waiting in the batch just written."
    )


def _content(lake: Lake, table: Table, partition: str, run_id: str) -> tuple[int, int, str]:
    """Returns the number of the partition's rows, the number that other runs wrote, and a hash of their content.

    The hash is the data version: equal rows leave everything downstream fresh.
    """
    row = lake.query(
        "select count(*) as row_count, count(*) filter (run_id is distinct from $run_id) as unchanged, "
        f"md5(string_agg({table.key} || '=' || digest, ',' order by {table.key})) as version from {table.name}",
        {"run_id": run_id},
        tables=[table.name],
        only={table.partition or "": partition},
    ).to_pylist()[0]
    return row["row_count"], row["unchanged"], row["version"] or "empty"
