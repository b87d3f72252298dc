"""The resources as the environment and the profile configure them.

INTERNVID_LAKE: the lake's root, a folder or s3://bucket/prefix. INTERNVID_STORAGE_OPTIONS: JSON, for a bucket.
INTERNVID_MEDIA: the media store, `<lake>/media` unless set. INTERNVID_KEEP: `reference` or `import`.
INTERNVID_WORKERS: decoding processes, one per core unless set. INTERNVID_DEVICE: where models run, as torch names it;
a GPU if there is one unless set. INTERNVID_PROCESSES: that a training is divided among, 1 unless set. INTERNVID_CLIP:
folder of the CLIP checkpoint that training starts from. INTERNVID_TRIAL_STEPS: no more stages than that in each phase of
a training, to try out whether all works.

INTERNVID_PROFILE: which models stand behind the providers, see orchestration/profiles/. INTERNVID_PROVIDER_<NAME>: one provider by
itself, as in a profile: INTERNVID_PROVIDER_SUMMARISER='{kind: server, url: "http://localhost:8000/v1"}'.

INTERNVID_COLLECT: 1 starts the schedules and sensors that collect from the web; INTERNVID_DISCOVER_CRON and
INTERNVID_CHECK_CRON: when they look at feeds, and whether sources are still there. INTERNVID_RETRIES: a file over
resources/retries.yaml. INTERNVID_BENCHMARK_IDS, INTERNVID_OPT_OUTS, INTERNVID_BENCHMARK_VIDEOS: what never comes in.
"""

from __future__ import annotations

import json
import os
from typing import Any

from orchestration.profiles import providers
from resources.lake.paths import absolute, fsspec_options
from resources.lake.store import Lake
from resources.media.cut_detection import CutDetection
from resources.media.store import Media
from resources.models.aligner import Aligner
from resources.training.trainer import Trainer


def configured() -> dict[str, Any]:
    """Every resource by the name under which assets ask for it."""
    root = absolute(os.environ.get("INTERNVID_LAKE", "lake").rstrip("/"))
    options = json.loads(os.environ.get("INTERNVID_STORAGE_OPTIONS", "{}"))
    return {
        "lake": Lake(root=root, storage_options=options),
        "media": Media(
            root=os.environ.get("INTERNVID_MEDIA", f"{root}/media"),
            storage_options=fsspec_options(options),
            keep=os.environ.get("INTERNVID_KEEP", "reference"),  # type: ignore[arg-type]  # checked by the resource
            workers=int(os.environ.get("INTERNVID_WORKERS", os.cpu_count() or 1)),
        ),
        "cut_detection": CutDetection(),
        "aligner": Aligner(device=os.environ.get("INTERNVID_DEVICE", "auto")),
        "trainer": Trainer(
            device=os.environ.get("INTERNVID_DEVICE", "auto"),
            processes=int(os.environ.get("INTERNVID_PROCESSES", "1")),
            initialise_from=os.environ.get("INTERNVID_CLIP"),
            max_steps=int(os.environ["INTERNVID_TRIAL_STEPS"]) if "INTERNVID_TRIAL_STEPS" in os.environ else None,
        ),
        **providers(os.environ),
    }
