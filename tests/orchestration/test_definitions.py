"""The code location as a whole: it loads, loads little, and tells the UI what each thing is."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster_service import REPOSITORY

from assets.stages import stage_definitions
from orchestration.definitions import definitions

HEAVY = [
    "av",
    "cv2",
    "decord",
    "diffusers",
    "duckdb",
    "lance",
    "lancedb",
    "matplotlib",
    "polars",
    "ray",
    "torch",
    "transformers",
]

LOAD = """
import json, sys, time
started = time.monotonic()
from orchestration.definitions import defs
defs()
print(json.dumps({"seconds": time.monotonic() - started, "modules": sorted(sys.modules)}))
"""


def asset_specs() -> list[dg.AssetSpec]:
    return list(definitions().resolve_all_asset_specs())


def test_every_asset_check_job_sensor_and_schedule_finds_what_it_needs() -> None:
    dg.Definitions.validate_loadable(definitions())


def test_loading_the_code_location_imports_no_heavy_package(capsys: pytest.CaptureFixture[str]) -> None:
    loaded = subprocess.run([sys.executable, "-c", LOAD], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    answer = json.loads(loaded.stdout.splitlines()[-1])
    with capsys.disabled():
        print(f" [the code location loads in {answer['seconds']:.1f} s] ", end="")
    assert sorted(set(HEAVY) & set(answer["modules"])) == []


def test_every_asset_has_a_description_and_a_group() -> None:
    assert [spec.key for spec in asset_specs() if not spec.description or spec.group_name in (None, "default")] == []


def test_every_stage_leads_to_its_function_and_to_the_statement_that_lists_its_units() -> None:
    places = {
        spec.key.to_user_string(): [Path(each.file_path) for each in references.code_references]
        for spec in asset_specs()
        if (references := spec.metadata.get("dagster/code_references"))
    }
    assert set(places) == {table.name for definition in stage_definitions() for table in definition.outputs}
    for name, (function, statement) in places.items():
        assert function.is_file(), name
        assert function.is_relative_to(REPOSITORY / "assets"), name
        assert statement.is_file(), name
        assert statement.parent == REPOSITORY / "sql" / "units", name
    assert places["clip_captions"][0].name == "clip_captions.py"


def test_every_check_job_sensor_and_schedule_has_a_description() -> None:
    repository = definitions().get_repository_def()
    checks = [repository.asset_graph.get_check_spec(key) for key in repository.asset_graph.asset_check_keys]
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    described = [*checks, *jobs, *repository.sensor_defs, *repository.schedule_defs]
    assert [thing.name for thing in described if not thing.description] == []


def test_every_partitioned_asset_with_inputs_to_count_checks_that_they_add_up() -> None:
    checked = {
        key.asset_key
        for key in definitions().resolve_asset_graph().asset_check_keys
        if key.name == "batch_counts_add_up"
    }
    partitioned = {spec.key for spec in asset_specs() if spec.partitions_def is not None}
    partitioned -= {dg.AssetKey("instructions")}  # files of a subset, and no stage
    assert partitioned
    assert checked == partitioned


def test_other_resources_can_stand_in_for_those_of_the_environment() -> None:
    from resources.lake.store import Lake

    other = Lake(root="elsewhere")
    assert (definitions(resources={"lake": other}).resources or {})["lake"] is other
