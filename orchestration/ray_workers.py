"""How a worker of the engine `ray` builds stages and resources: from the settings of the run, on its own machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestration.settings import PREFIX, Settings, take_over, variable_of
from resources.incremental.declaration import StageDefinition
from resources.lake.paths import absolute
from resources.models.provider import ModelProvider

# Besides the settings: credentials and addresses of the bucket, and where models of the hub are.
OF_THE_RUN = (PREFIX, "AWS_", "HF_")


@dataclass(frozen=True)
class WorkerSetup:
    """Builds stages and resources by name. environment: variables of the run, keys among them, so it is never shown."""

    environment: dict[str, str] = field(repr=False)

    @classmethod
    def of(cls, settings: Settings, models: Mapping[str, ModelProvider], *, cores: int, precision: str) -> WorkerSetup:
        """cores: of each worker, which are as many decoding processes. precision: of vectors, on every worker."""
        keys = {getattr(model, "key_variable", "") for model in models.values()}
        environment = {
            name: text
            for name, text in settings.as_environment().items()
            if name.startswith(OF_THE_RUN) or name in keys
        }
        return cls(
            environment
            | {variable_of("lake"): absolute(settings.lake), variable_of("workers"): str(cores)}
            | {variable_of("engine"): "local", variable_of("precision"): precision}
        )

    def __call__(self) -> tuple[Mapping[str, StageDefinition], Mapping[str, Any]]:
        # Here, for `configured` makes this object, and every command imports it.
        from assets.stages import stage_definitions
        from orchestration.configured import configured

        settings = take_over(self.environment)
        return {definition.name: definition for definition in stage_definitions(settings.stages)}, configured(settings)
