"""What is recomputed by itself: a batch whose stage got another version, another input, or another active checkpoint.

One condition is shared by every stage of ingest batches. It follows

* a changed code version: other settings, another model, another version of the stage;
* updates of the stage's inputs among the other stages, by runs that did not compute the stage as well;
* the active checkpoint: with another one, the vectors of every batch are recomputed, and the scores after them;
* a new stage: it is computed for every batch that has its inputs.

It does not follow what has no partitions otherwise (`sources`, `annotations`, `feeds`): each registered file would
recompute every batch. Nor does it wait for what was never materialized there.

A new batch is left to `registered_batches_sensor`. That sensor reads from the tables which batches were registered and
by whom, so it starts one run for each state of a batch, even after the daemon was killed, and none for a batch that
`internvid ingest` runs itself. The command line makes a batch known to Dagster just before it runs it, and a condition
on missing partitions would fire in between. So no partition is requested here whose first stage was never computed.

Subsets, checkpoints and evaluations have no condition: models are trained when a user says so, or as
`orchestration.due.first_model` does.
"""

import warnings
from collections.abc import Sequence

import dagster as dg

from assets.partitions import INGEST_BATCH
from resources.corpus.forgetting.run_history import PARTITION_TAG, UNFINISHED
from resources.incremental.declaration import StageDefinition
from resources.models.activation import ASSET as ACTIVE_CHECKPOINT

SECONDS_BETWEEN_EVALUATIONS = 30


class MadeByOtherCode(dg.AutomationCondition[dg.AssetKey]):
    """True where the asset's latest materialization has another code version than the asset has now.

    `code_version_changed` compares with the previous evaluation, so it misses what changed before the first one: a lake
    that was filled from the terminal, and is opened in the UI with other settings.
    """

    @property
    def name(self) -> str:
        return "made_by_other_code"

    def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:
        subset = context.candidate_subset
        if not subset.is_empty and not self._is_other(context):
            subset = context.get_empty_subset()
        return dg.AutomationResult(context, subset)

    def _is_other(self, context: dg.AutomationContext) -> bool:
        asset = context.key
        current = context.asset_graph.get(asset).code_version
        latest = context.asset_graph_view.instance.get_latest_materialization_code_versions([asset])[asset]
        return None not in (current, latest) and current != latest


class BatchIsInWork(dg.AutomationCondition[dg.AssetKey]):
    """True for a batch through which a run goes, or went until this evaluation began.

    An evaluation reads one thing after another while runs go on. So it may see a table as no longer in progress, and
    its new rows not yet as the update that answers the update of its inputs; it would request what was just made.
    """

    @property
    def name(self) -> str:
        return "batch_is_in_work"

    def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:
        instance, candidates = context.asset_graph_view.instance, context.candidate_subset
        if candidates.is_empty:  # nearly always
            return dg.AutomationResult(context, candidates)
        filters = (dg.RunsFilter(statuses=list(UNFINISHED)), dg.RunsFilter(updated_after=context.evaluation_time))
        runs = [run for runs_filter in filters for run in instance.get_runs(runs_filter)]
        batches = {run.tags[PARTITION_TAG] for run in runs if PARTITION_TAG in run.tags}
        in_work = batches & set(candidates.expensively_compute_partition_keys())
        return dg.AutomationResult(context, candidates.compute_intersection_with_partition_keys(in_work))


def follow_inputs(stages: Sequence[StageDefinition]) -> dg.AutomationCondition:
    """Builds the condition of every asset of a stage that works on ingest batches. stages: all of these.

    A failed run counts as handled: nothing is tried again before somebody looked, or retries.yaml says that it is due.
    """
    condition = dg.AutomationCondition
    tables = dg.AssetSelection.assets(*_tables(stages))
    followed = tables | dg.AssetSelection.assets(ACTIVE_CHECKPOINT)
    has_inputs = condition.any_deps_match(~condition.missing()).allow(tables)
    is_first = condition.initial_evaluation()
    changed_code = (condition.code_version_changed() | (is_first & MadeByOtherCode())) & ~condition.missing()
    is_new_stage = is_first & condition.missing() & has_inputs
    changed = (
        changed_code.with_label("the code version changed")
        | is_new_stage.with_label("the stage is new")
        | condition.any_deps_updated().allow(followed)
    )
    handled = (
        condition.newly_requested() | condition.newly_updated() | condition.execution_failed().newly_true()
    ).with_label("handled")
    return (
        changed.since(handled)
        & ~condition.in_progress()
        & ~condition.any_deps_in_progress().allow(followed)
        & ~condition.any_deps_missing().allow(tables)
        & ~BatchIsInWork()
    ).with_label("follow_inputs")


def build_automation(stages: Sequence[StageDefinition]) -> dg.AutomationConditionSensorDefinition:
    """Builds the sensor that evaluates the condition. stages: all; those of other partitions are left out."""
    with warnings.catch_warnings():
        # The code server evaluates: the daemon does not know our own conditions.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.AutomationConditionSensorDefinition(
            "recompute_what_changed",
            target=dg.AssetSelection.assets(*_tables(stages)),
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=SECONDS_BETWEEN_EVALUATIONS,
            use_user_code_server=True,
            description="Recomputes batches whose inputs, settings or active checkpoint changed.",
        )


def _tables(stages: Sequence[StageDefinition]) -> list[str]:
    return [table.name for definition in stages if definition.partition == INGEST_BATCH for table in definition.outputs]
