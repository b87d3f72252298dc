"""All stages, collected from the packages of this folder, in the order in which data flows.

Nothing else lists stages. The module of a stage is in the package of its asset group. Stages of the user are modules in
the folder that INTERNVID_STAGES names, each with its units file beside it.
"""

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

import assets
from assets.partitions import INGEST_BATCH
from resources.incremental.declaration import StageDefinition

# Packages with stages. The others (corpus, checks) read this module, so it does not import them.
PACKAGES = ("ingest", "video", "speech", "captions", "dialogue", "vectors", "model", "generation")


@cache
def stage_definitions(own_folder: str | None = None) -> tuple[StageDefinition, ...]:
    """Returns every stage, each after the stages whose tables it reads.

    own_folder: folder with modules of the user's own stages. Raises ValueError for a folder that does not exist, a name
    that is used twice, and stages that depend on each other.
    """
    definitions: dict[str, StageDefinition] = {}
    for module in (*_modules(), *_own_modules(own_folder)):
        for value in vars(module).values():
            if isinstance(value, StageDefinition) and value is not definitions.get(value.name):
                if value.name in definitions:
                    raise ValueError(f"{module.__file__}: there is a stage {value.name!r} already; choose another name")
                definitions[value.name] = value
    return tuple(_in_order(definitions))


def ingest_stages(own_folder: str | None = None) -> tuple[StageDefinition, ...]:
    """Returns the stages that are partitioned by ingest batch, which status, checks and estimates cover."""
    return tuple(definition for definition in stage_definitions(own_folder) if definition.partition == INGEST_BATCH)


def resources_of_stages(own_folder: str | None = None) -> frozenset[str]:
    """Returns the names of the resources that the stages of ingest batches need together."""
    return frozenset(name for definition in ingest_stages(own_folder) for name in definition.needs)


def _modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        folder = importlib.import_module(f"{assets.__name__}.{package}")
        for module in pkgutil.iter_modules(folder.__path__):
            yield importlib.import_module(f"{folder.__name__}.{module.name}")


def _own_modules(folder: str | None) -> Iterator[ModuleType]:
    if folder is None:
        return
    if not Path(folder).is_dir():
        raise ValueError(f"INTERNVID_STAGES names {folder}, which is not a folder")
    for file in sorted(Path(folder).resolve().glob("*.py")):
        name = f"internvid_own_stages_{hashlib.md5(str(file).encode(), usedforsecurity=False).hexdigest()[:8]}"
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, file)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
        yield sys.modules[name]


def _in_order(definitions: Mapping[str, StageDefinition]) -> Iterator[StageDefinition]:
    """Yields each stage after those whose tables it reads; otherwise in the order in which they were found."""
    stage_of_table = {
        table.name: definition.name for definition in definitions.values() for table in definition.outputs
    }
    waiting = {
        name: {stage_of_table[table] for table in definition.inputs if table in stage_of_table} - {name}
        for name, definition in definitions.items()
    }
    while waiting:
        ready = next((name for name, inputs in waiting.items() if not inputs & waiting.keys()), None)
        if ready is None:
            raise ValueError(f"the stages {', '.join(waiting)} depend on each other")
        del waiting[ready]
        yield definitions[ready]
