"""When an input that failed is tried again: a small table, by class of error (resources/retries.yaml).

INTERNVID_RETRIES names a file of the same form that is laid over it, class by class.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

BUILT_IN = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Policy:
    """tries: in all. minutes: between the first try and the second; times: that for each further one."""

    tries: int = 1
    minutes: float = 0.0
    times: float = 1.0

    def next_try(self, tries: int, now: datetime) -> datetime | None:
        """When to try again after `tries` tries, the last one now; None: not by itself."""
        return now + timedelta(minutes=self.minutes * self.times ** (tries - 1)) if tries < self.tries else None


def policy_of(error_class: type[BaseException]) -> Policy:
    """That of the class, or of the nearest that it is derived from; what is not in the table is not tried again."""
    table = policies(os.environ.get("INTERNVID_RETRIES"))
    return next((table[kind.__name__] for kind in error_class.__mro__ if kind.__name__ in table), Policy())


@cache
def policies(overlay: str | None) -> Mapping[str, Policy]:
    """The table by class name, with the file `overlay` laid over it. Raises ValueError for a file that is no table."""
    table = _read(BUILT_IN)
    return table | _read(Path(overlay).expanduser()) if overlay else table


def _read(path: Path) -> dict[str, Policy]:
    try:
        rows: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {name: Policy(**row) for name, row in rows.items()}
    except (OSError, yaml.YAMLError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no table of retries, which holds lines like "
            f"`NetworkTrouble: {{tries: 5, minutes: 15, times: 4}}`: {error}"
        ) from error
