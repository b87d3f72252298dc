"""The resources as the settings configure them, by the names that stages and assets use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestration.profiles import providers
from orchestration.ray_workers import WorkerSetup
from orchestration.settings import PREFIX, Settings
from resources.catalog.admission import Admission
from resources.catalog.inbox import Inbox
from resources.corpus.interleaving import Interleaving
from resources.corpus.subset_files import SubsetFiles
from resources.incremental.engine import Engine, LocalEngine
from resources.incremental.ray_engine import RayEngine
from resources.incremental.retries import FailurePolicy
from resources.lake.credentials import without_keys
from resources.lake.store import Lake
from resources.media.cut_detection import CutDetection
from resources.media.store import Media
from resources.models.aligner import Aligner
from resources.models.generator import Generators
from resources.models.provider import ModelProvider
from resources.training.benchmarks import Benchmarks
from resources.training.trainer import Trainer


def configured(settings: Settings) -> dict[str, Any]:
    """Returns every resource by its name. Raises ValueError for invalid settings of providers."""
    storage_options = without_keys(settings.storage_options, f"{PREFIX}STORAGE_OPTIONS")
    models = providers(settings.profile, settings.providers)
    aligner = Aligner(device=settings.device, precision=settings.precision)
    return {
        "lake": Lake(root=settings.lake, storage_options=storage_options),
        "media": Media(
            root=settings.media_root,
            storage_options=storage_options,
            keep=settings.keep,
            workers=settings.workers,
        ),
        "cut_detection": CutDetection(),
        "admission": Admission(
            benchmark_ids=settings.benchmark_ids,
            opt_outs=settings.opt_outs,
            benchmark_videos=settings.benchmark_videos,
        ),
        "inbox": Inbox(folder=settings.inbox, settled_seconds=settings.inbox_settled_seconds),
        "failure_policy": FailurePolicy(retries_file=settings.retries, max_failure_share=settings.max_failure_share),
        "subset_files": SubsetFiles(folder=settings.subsets),
        "interleaving": Interleaving(drop=settings.interleaved_drop, seed=settings.interleaved_seed),
        "aligner": aligner,
        "trainer": Trainer(
            device=settings.device,
            processes=settings.processes,
            initialise_from=settings.clip,
            language_model=settings.language_model,
            image_model=settings.image_model,
            max_steps=settings.trial_steps,
        ),
        "generators": Generators(device=settings.device),
        "benchmarks": Benchmarks(folders=settings.benchmarks, workers=settings.workers, probes=list(settings.probes)),
        "engine": _engine(settings, models, aligner),
        **models,
    }


def _engine(settings: Settings, models: Mapping[str, ModelProvider], aligner: Aligner) -> Engine:
    if settings.engine == "local":
        return LocalEngine()
    cores = settings.workers if "workers" in settings.model_fields_set else 1
    # The versions of vectors are made here, so workers compute in the precision that they name.
    setup = WorkerSetup.of(settings, models, cores=cores, precision=aligner.resolved_precision)
    return RayEngine(
        setup,
        address=settings.ray_address,
        max_workers=settings.ray_workers,
        cpus_per_worker=cores,
        gpus_per_worker=settings.ray_gpus_per_worker,
    )
