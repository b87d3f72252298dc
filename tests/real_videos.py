"""Real videos, which lie beside the repository and not in it: without them the tests that need them are skipped."""

from pathlib import Path

import pytest

REAL_VIDEOS = Path(__file__).resolve().parents[2] / "shared" / "videos"
needs_real_videos = pytest.mark.skipif(not REAL_VIDEOS.is_dir(), reason="the folder of real videos is not here")
