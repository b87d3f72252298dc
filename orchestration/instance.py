"""Dagster's own folder, the files in it that follow the settings, and the instance that is opened from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from filelock import FileLock

from orchestration.settings import Settings, variable_of
from resources.incremental.faults import SystemFault, raising_faults
from resources.lake.paths import StoragePath, folder_on_this_machine

if TYPE_CHECKING:
    import dagster as dg

REPOSITORY = Path(__file__).resolve().parents[1]
POOLS = ("download", "decode", "speech", "caption", "embed", "score", "compute", "select", "export", "train", "index")
POOL_LIMITS = {"download": 1}  # steps at once: the rate limit of a site is kept within a run
HEADER = "# Written by internvid from its settings at each start. Without this line the file is yours, and stays.\n"
IN_DAGSTER_YAML = ("postgres_url", "max_concurrent_runs")  # the settings that dagster.yaml follows
EXTRA = "cluster"  # of pyproject.toml


def dagster_home(settings: Settings) -> Path:
    """Returns Dagster's folder, created if missing, with a dagster.yaml that follows the settings.

    Raises SystemFault where the user's own dagster.yaml is there, and settings would have no effect.
    """
    home = Path(settings.dagster_home or folder_on_this_machine(settings.lake, ".dagster"))
    home.mkdir(parents=True, exist_ok=True)
    _write(home / "dagster.yaml", _dagster_yaml(settings), settings)
    return home


def workspace_file(settings: Settings) -> Path:
    """Returns the workspace: the server of the code location where the settings name one, else this code itself."""
    if settings.code_location is None:
        return REPOSITORY / "workspace.yaml"
    host, port = settings.code_location_address
    server = {"host": host, "port": port, "location_name": "internvid"}
    path = dagster_home(settings) / "workspace.yaml"
    _write(path, {"load_from": [{"grpc_server": server}]}, settings)
    return path


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Opens Dagster's instance, and sets the limits of its pools. Processes of this machine do so one after the other:
    of several that create the tables of SQLite at once, Dagster lets all but one fail.

    Raises SystemFault where the database does not answer or refuses.
    """
    import dagster as dg

    if settings.postgres_url is not None:
        _require_postgres(settings.postgres_url)
    home = dagster_home(settings)
    with FileLock(home / "opening.lock"):
        instance = dg.DagsterInstance.from_config(str(home))
        instance.schedule_storage  # noqa: B018 - created when it is asked for, like the two others
        # Of every pool: in Postgres, two runs that are the first in a pool without a limit break each other's
        # transaction.
        default = dict.fromkeys(POOLS, settings.max_concurrent_runs)
        for pool, limit in (default | POOL_LIMITS | settings.pool_limits).items():
            instance.event_log_storage.set_concurrency_slots(pool, limit)
    return instance


def _dagster_yaml(settings: Settings) -> dict[str, Any]:
    """The repository's dagster.yaml with what the settings say. It names the variable of a URL, never the URL."""
    config = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text(encoding="utf-8"))
    concurrency = config["concurrency"]
    concurrency["runs"] = {"max_concurrent_runs": settings.max_concurrent_runs}
    concurrency["pools"]["default_limit"] = settings.max_concurrent_runs  # of pools of the user's own stages
    if settings.postgres_url is not None:
        config["storage"] = {
            "custom": {
                "module": "orchestration.postgres",
                "class": "WaitingPostgresStorage",
                "config": {"postgres_url": {"env": variable_of("postgres_url")}},
            }
        }
    return config


def _write(path: Path, content: dict[str, Any], settings: Settings) -> None:
    """Replaces the file as a whole where it is ours and differs: other processes may read it."""
    text = HEADER + yaml.safe_dump(content, sort_keys=False)
    present = path.read_text(encoding="utf-8") if path.exists() else None
    if present is not None and not present.startswith(HEADER):
        given = [variable_of(name) for name in IN_DAGSTER_YAML if name in settings.model_fields_set]
        if given:
            raise SystemFault(
                f"{path} is a file of your own, so {' and '.join(given)} would have no effect: "
                "remove the file, or say it there and unset the variable"
            )
    elif present != text:
        StoragePath(str(path)).write_text(text)


def _require_postgres(url: str) -> None:
    try:
        from orchestration.postgres import connect_once
    except ModuleNotFoundError as error:
        raise SystemFault(
            f"{variable_of('postgres_url')} needs the package {error.name}: pip install 'internvid-lakehouse[{EXTRA}]'"
        ) from error
    os.environ.setdefault(variable_of("postgres_url"), url)  # dagster.yaml names the variable
    with raising_faults():
        connect_once(url)
