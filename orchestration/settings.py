"""Every setting of the software: its environment variable, type, default and meaning, in one place.

Nothing else reads the environment. Settings are read when the code location loads and when a command starts, never at
import; docs/configuration.md is rendered from this module (`internvid docs`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from resources.lake.paths import absolute

PREFIX = "INTERNVID_"
PROVIDER_PREFIX = f"{PREFIX}PROVIDER_"
SECRET = ("storage_options", "postgres_url", "explorer_token")  # may hold a key or a password: no message shows them

PoolLimit = Annotated[int, Field(ge=0)]
Files = Annotated[list[str], NoDecode]  # several paths, joined by the system's separator of paths


class Settings(BaseSettings):
    """What the user may set. A field NAME is the environment variable INTERNVID_NAME."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=False, extra="ignore", populate_by_name=True)

    lake: str = Field(default="lake", description="the lake's root: a folder, or s3://bucket/prefix")
    storage_options: dict[str, str] = Field(
        default={}, description="JSON: what Lance needs to reach the bucket (aws_endpoint, allow_http, aws_region, …)"
    )
    media: str | None = Field(default=None, description="the media store; `media` under the lake's root unless set")
    keep: Literal["reference", "import"] = Field(
        default="reference",
        description="whether local video files are read where they lie, or copied into the media store",
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="decoding processes; one a core unless set. With the engine ray: of each worker, which takes as "
        "many cores; 1 unless set",
    )
    device: str = Field(default="auto", description="where models run, as torch names it; auto: a GPU if there is one")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="of the vectors of clips and captions, and part of their version: another one recomputes them all. "
        "auto: bfloat16 where models run on a GPU, else float32. With the engine ray, auto is what suits the machine "
        "that starts the run; name bfloat16 where that has no GPU and the workers do",
    )
    executor: Literal["in_process", "multiprocess"] = Field(
        default="in_process",
        description="how a run that the UI or the daemon starts works on its steps: one after the other in the process "
        "of the run, or each in a process of its own, several at once, which takes some seconds more for each",
    )
    max_concurrent_runs: int = Field(
        default=2, ge=1, description="runs that the daemon works on at once; further ones wait in its queue"
    )
    pool_limits: dict[str, PoolLimit] = Field(
        default={},
        description='JSON: how many steps of a pool work at once, over all runs: {"caption": 1, "decode": 4}; pools '
        "are download, decode, speech, caption, embed, score, compute, select, train and index; without a limit here "
        "download has 1, and the others as many as runs work at once",
    )
    engine: Literal["local", "ray"] = Field(
        default="local",
        description="where the heavy stages are computed: in the process of the run and its child processes, or by "
        "workers of a Ray cluster",
    )
    ray_address: str | None = Field(
        default=None, description="HOST:PORT of the cluster's head; a Ray on this machine alone is started unless set"
    )
    ray_workers: int | None = Field(
        default=None,
        ge=1,
        description="upper bound on the workers of a run; as many as the cluster has room for unless set",
    )
    ray_gpus_per_worker: float = Field(
        default=1.0,
        ge=0,
        description="GPUs of each worker of a stage with models, if the cluster has GPUs; 0.5 lets two share one",
    )
    processes: int = Field(default=1, ge=1, description="processes that a training is divided among")
    clip: str | None = Field(
        default=None, description="folder or hub id of the CLIP checkpoint that training starts from"
    )
    language_model: str | None = Field(
        default=None,
        description="folder or hub id of the causal language model that talks about videos, for the recipe videochat",
    )
    image_model: str | None = Field(
        default=None,
        description="folder or hub id of the text-to-image model that generates videos, for the recipe t2v-sd: a "
        "Stable Diffusion in the layout of `diffusers`",
    )
    trial_steps: int | None = Field(
        default=None,
        ge=1,
        description="upper bound on steps in each phase of a training, to try out whether all works",
    )
    first_model: str = Field(
        default="viclip-tiny|all",
        description="recipe and subset of the model that a lake without one trains; empty: it trains none",
    )
    profile: str = Field(
        default="embedded",
        description="which models stand behind the providers: names of orchestration/profiles/, or YAML files, joined "
        "by commas, each laid over the one before",
    )
    providers: dict[str, str] = Field(
        default={},
        description="one provider by itself, as in a profile: INTERNVID_PROVIDER_SUMMARISER="
        "'{kind: server, url: \"http://localhost:8000/v1\", served_model: NAME}'",
    )
    inbox: str | None = Field(
        default=None, description="a folder that is watched: what lands in it is registered and ingested"
    )
    inbox_settled_seconds: float = Field(
        default=10.0, ge=0, description="a file of the inbox is registered once it was not modified for so long"
    )
    collect: bool = Field(
        default=False,
        description="start the schedules that poll feeds and check sources; else the user does, in the UI",
    )
    discover_cron: str = Field(default="0 5 * * *", description="when feeds are polled")
    check_cron: str = Field(default="0 2 * * 0", description="when it is checked whether sources are still there")
    retries: str | None = Field(
        default=None,
        description="a YAML file laid over resources/incremental/retries.yaml: how often and when a failure is retried",
    )
    max_failure_share: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="a batch stops where a larger share of its inputs, and at least 20, end with one class of error; "
        "1 never stops it",
    )
    benchmarks: dict[str, str] = Field(
        default={},
        description="JSON: folders of benchmarks that each trained model is evaluated on, by name: "
        '{"msrvtt": "/data/msrvtt"}; `internvid evaluate --help` names them',
    )
    probes: list[Literal["linear", "knn", "attentive"]] = Field(
        default=[],
        description='JSON: classifiers on the vectors of benchmarks of classes, such as ["linear", "knn"], trained on '
        "their train split",
    )
    benchmark_ids: Files = Field(
        default=[], description="files of ids or URLs of benchmark videos, which never come in; joined by `:`"
    )
    opt_outs: Files = Field(
        default=[], description="files of URLs, ids, channels and hosts that opted out; joined by `:`"
    )
    benchmark_videos: str | None = Field(
        default=None, description="a folder of benchmark videos: no subset has clips of their copies"
    )
    subsets: str | None = Field(default=None, description="a folder of your own subsets, one SQL file each")
    stages: str | None = Field(default=None, description="a folder of your own stages, a Python and an SQL file each")
    interleaved_drop: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="probability with which the video of a clip is left out of an interleaved document, its texts "
        "staying; the paper's is 0.3",
    )
    interleaved_seed: int = Field(
        default=42, description="of the videos that are left out, and of which two make a document together"
    )
    owner: str | None = Field(
        default=None, description="who answers for the lake, shown with every asset: an e-mail address, or team:NAME"
    )
    dagster_home: str | None = Field(
        default=None,
        validation_alias=AliasChoices("DAGSTER_HOME", "dagster_home"),
        description="Dagster's own folder; `.dagster` under the lake's root unless set",
    )
    postgres_url: str | None = Field(
        default=None,
        description="Postgres for Dagster's records, postgresql://USER@HOST:5432/DATABASE, with the password in "
        "PGPASSWORD; SQLite in Dagster's folder unless set",
    )
    explorer_token: str | None = Field(
        default=None,
        description="what the address of the explorer holds where it listens to other machines; a new one at each "
        "start unless set",
    )
    explorer_url: str = Field(
        default="http://127.0.0.1:3030", description="where the explorer is, for the pages that `search` prints"
    )
    ui_url: str = Field(
        default="http://127.0.0.1:3000", description="where the Dagster UI is, for the links of the explorer"
    )
    code_location: str | None = Field(
        default=None,
        description="HOST:PORT of the server of the code location, which starts the runs of the daemon "
        "(`internvid serve`); webserver and daemon load the code themselves unless set",
    )

    @field_validator("benchmark_ids", "opt_outs", mode="before")
    @classmethod
    def _split_paths(cls, value: Any) -> Any:
        return [path for path in value.split(os.pathsep) if path] if isinstance(value, str) else value

    @field_validator(
        "media",
        "clip",
        "language_model",
        "inbox",
        "ray_address",
        "retries",
        "benchmark_videos",
        "subsets",
        "stages",
        "owner",
        "postgres_url",
        "explorer_token",
        "code_location",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        return value or None

    @field_validator("lake", mode="after")
    @classmethod
    def _without_last_slash(cls, root: str) -> str:
        return absolute(root.rstrip("/") or "/")

    @field_validator("media", "inbox", "retries", "benchmark_videos", "subsets", "stages", "dagster_home", mode="after")
    @classmethod
    def _absolute(cls, path: str | None) -> str | None:
        """Absolute, for processes that run in another folder."""
        return path and absolute(path)

    @field_validator("benchmark_ids", "opt_outs", mode="after")
    @classmethod
    def _all_absolute(cls, paths: list[str]) -> list[str]:
        return [absolute(path) for path in paths]

    @field_validator("first_model", mode="after")
    @classmethod
    def _recipe_and_subset(cls, model: str) -> str:
        recipe, _, subset = model.partition("|")
        if model and not (recipe and subset):
            raise ValueError("give a recipe and a subset, joined by |: viclip-tiny|all; or nothing")
        return model

    @field_validator("postgres_url", mode="after")
    @classmethod
    def _is_of_postgres(cls, url: str | None) -> str | None:
        if url is not None and not re.match(r"postgres(ql)?(\+psycopg2)?://", url):
            raise ValueError("give postgresql://USER@HOST:PORT/DATABASE")
        # A message of the driver may have any part of a URL; and a password need not be fit for one.
        if url is not None and (":" in urlsplit(url).netloc.rpartition("@")[0] or "password=" in url):
            raise ValueError("give the password in PGPASSWORD, not here")
        return url

    @field_validator("code_location", mode="after")
    @classmethod
    def _host_and_port(cls, address: str | None) -> str | None:
        if address is not None and not re.fullmatch(r"[^:/]+:\d{1,5}", address):
            raise ValueError("give HOST:PORT")
        return address

    @property
    def code_location_address(self) -> tuple[str, int]:
        """Host and port of the code location. Raises ValueError without that setting."""
        if self.code_location is None:
            raise ValueError(f"{variable_of('code_location')} is not set: give HOST:PORT")
        host, _, port = self.code_location.partition(":")
        return host, int(port)

    @property
    def media_root(self) -> str:
        return self.media or f"{self.lake}/media"

    def as_environment(self) -> dict[str, str]:
        """Returns the environment variables with which a process that is started reads the same settings."""
        environment = {name: text for name, text in os.environ.items() if not name.startswith(PROVIDER_PREFIX)}
        for name in self.model_fields_set - {"providers"}:
            value = getattr(self, name)
            if value is None:
                environment.pop(variable_of(name), None)
            else:
                has_paths = NoDecode in type(self).model_fields[name].metadata
                environment[variable_of(name)] = os.pathsep.join(value) if has_paths else _as_text(value)
        for name, text in self.providers.items():
            environment[f"{PROVIDER_PREFIX}{name.upper()}"] = text
        return environment

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _Providers(settings_cls)


def take_over(environment: Mapping[str, str]) -> Settings:
    """Replaces this process's settings by those of the environment of another process, and returns them."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update(environment)
    return Settings()


class _Providers(PydanticBaseSettingsSource):
    """Reads INTERNVID_PROVIDER_<NAME> for every provider; those given otherwise go before."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        names = {
            variable.removeprefix(PROVIDER_PREFIX).lower(): text
            for variable, text in os.environ.items()
            if variable.startswith(PROVIDER_PREFIX)
        }
        return {"providers": names} if names else {}


def variable_of(name: str) -> str:
    """Returns the environment variable of a field."""
    return {"dagster_home": "DAGSTER_HOME", "providers": f"{PROVIDER_PREFIX}NAME"}.get(name, PREFIX + name.upper())


def problems_of(error: ValidationError | SettingsError) -> str:
    """Returns in one line which variables hold what cannot be, and why."""
    if isinstance(error, SettingsError):  # text that should be JSON; its message names the field
        return "; ".join(str(part) for part in (error, error.__cause__) if part is not None)
    return "; ".join(
        f"{_variable_at(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
        + ("" if problem["loc"][0] in SECRET else f", not {problem['input']!r}")
        for problem in error.errors()
    )


def _variable_at(place: tuple[int | str, ...]) -> str:
    name = str(place[0])
    return name if name not in Settings.model_fields else variable_of(name)


def _as_text(value: Any) -> str:
    """Writes a value as `Settings` reads it from the environment."""
    import json

    if isinstance(value, bool):
        return str(int(value))
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def render_markdown() -> str:
    """Returns the page `docs/configuration.md`: every setting with its variable, type, default and meaning."""
    lines = [
        "# Configuration",
        "",
        "Rendered from `orchestration/settings.py` by `internvid docs`. Options of the command line come before these.",
        "",
        "| variable | type | default | meaning |",
        "|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        type_words = "YAML" if name == "providers" else _type_in_words(field.annotation)
        cells = (f"`{variable_of(name)}`", type_words, _default(name, field), field.description)
        lines.append(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _default(name: str, field: FieldInfo) -> str:
    if name == "workers":
        return "one a core"
    if isinstance(field.default, bool):
        return f"`{int(field.default)}`"
    return "–" if field.default in (None, [], {}) else f"`{field.default}`"


def _type_in_words(annotation: Any) -> str:
    """Returns a type as a user sets it: text, number, whole number, 0 or 1, the choices."""
    words = {str: "text", int: "whole number", float: "number", bool: "0 or 1"}
    if annotation in words:
        return words[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if origin is list and arguments == (str,):
        return "paths"
    if origin in (list, dict):
        return "JSON"
    return next(_type_in_words(argument) for argument in arguments if argument is not type(None))
