"""The resources as the environment and the profile configure them.

INTERNVID_LAKE: the lake's root, a folder or s3://bucket/prefix. INTERNVID_STORAGE_OPTIONS: JSON, for a bucket.
INTERNVID_MEDIA: the media store, `<lake>/media` unless set. INTERNVID_KEEP: `reference` or `import`.
INTERNVID_WORKERS: decoding processes, one per core unless set. INTERNVID_DEVICE: where models run, as torch names it;
a GPU if there is one unless set. INTERNVID_PROCESSES: that a training is divided among, 1 unless set. INTERNVID_CLIP:
folder of the CLIP checkpoint that training starts from. INTERNVID_TRIAL_STEPS: no more steps than that in each phase of
a training, to try out whether all works.

INTERNVID_PROFILE: which models stand behind the doors, see orchestration/profiles/. INTERNVID_DOOR_<NAME>: one door by
itself, as in a profile: INTERNVID_DOOR_SUMMARISER='{kind: server, url: "http://localhost:8000/v1"}'.

INTERNVID_COLLECT: 1 starts the schedules and sensors that collect from the web; INTERNVID_DISCOVER_CRON and
INTERNVID_CHECK_CRON: when they look at feeds, and whether sources are still there. INTERNVID_RETRIES: a file over
resources/retries.yaml. INTERNVID_BENCHMARK_IDS, INTERNVID_OPT_OUTS, INTERNVID_BENCHMARK_VIDEOS: what never comes in.
"""

from __future__ import annotations

import json
import os
from typing import Any

from orchestration.profiles import doors
from resources.aligner import Aligner
from resources.cutter import Cutter
from resources.lake import Lake
from resources.media import Media
from resources.published_files import fsspec_options
from resources.trainer import Trainer


def configured() -> dict[str, Any]:
    """Every resource by the name under which assets ask for it."""
    root = os.environ.get("INTERNVID_LAKE", "lake").rstrip("/")
    if "://" not in root:
        root = os.path.abspath(os.path.expanduser(root))
    options = json.loads(os.environ.get("INTERNVID_STORAGE_OPTIONS", "{}"))
    return {
        "lake": Lake(root=root, storage_options=options),
        "media": Media(
            root=os.environ.get("INTERNVID_MEDIA", f"{root}/media"),
            storage_options=fsspec_options(options),
            keep=os.environ.get("INTERNVID_KEEP", "reference"),  # type: ignore[arg-type]  # checked by the resource
            workers=int(os.environ.get("INTERNVID_WORKERS", os.cpu_count() or 1)),
        ),
        "cutter": Cutter(),
        "aligner": Aligner(device=os.environ.get("INTERNVID_DEVICE", "auto")),
        "trainer": Trainer(
            device=os.environ.get("INTERNVID_DEVICE", "auto"),
            processes=int(os.environ.get("INTERNVID_PROCESSES", "1")),
            initialise_from=os.environ.get("INTERNVID_CLIP"),
            steps_at_most=int(os.environ["INTERNVID_TRIAL_STEPS"]) if "INTERNVID_TRIAL_STEPS" in os.environ else None,
        ),
        **doors(os.environ),
    }
