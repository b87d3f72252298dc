"""Says when a failed unit is tried again, and when failures stop a batch, by class of error.

The rules are in retries.yaml beside this file; a file of the user may override them, class by class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Optional

import dagster as dg
import yaml
from pydantic import Field

BUILT_IN = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class RetryRule:
    """How often a unit that fails with a class of error is tried.

    tries: upper bound, the first try included. delay_minutes: delay between the first and the second try. backoff:
    factor of the delay for each further try. alarm: whether many such failures may mean that the stage is at fault.
    """

    tries: int = 1
    delay_minutes: float = 0.0
    backoff: float = 1.0
    alarm: bool = True

    def next_try(self, tries: int, now: datetime) -> datetime | None:
        """Returns the time of the next try. tries: tries so far, the last one now. None: no automatic retry."""
        return now + timedelta(minutes=self.delay_minutes * self.backoff ** (tries - 1)) if tries < self.tries else None


class FailurePolicy(dg.ConfigurableResource):
    """Rules for failures.

    retries_file: a YAML file that overrides rules of retries.yaml. max_failure_share: a batch stops where a larger
    share of its tried units, and at least min_failures of them, failed with the same class of error; 1 never stops it.
    """

    retries_file: Optional[str] = None  # noqa: UP045 - Dagster's config knows no other union
    max_failure_share: float = Field(default=0.2, gt=0, le=1)
    min_failures: int = Field(default=20, ge=1)

    def retry(self, error_class: type[BaseException]) -> RetryRule:
        """Returns the rule of the class, or of its nearest base in the rules; without a rule there is no retry."""
        rules = retry_rules(self.retries_file)
        return next((rules[kind.__name__] for kind in error_class.__mro__ if kind.__name__ in rules), RetryRule())

    def is_alarming(self, failures: int, tried: int) -> bool:
        """Says whether the batch stops. failures: units that failed with one class of error, of `tried` units."""
        return (
            self.max_failure_share < 1 and failures >= self.min_failures and failures > self.max_failure_share * tried
        )


@cache
def retry_rules(overlay: str | None) -> Mapping[str, RetryRule]:
    """Returns the rules by class name, overridden by the file `overlay`. Raises ValueError for an invalid file."""
    rules = _read(BUILT_IN)
    return rules | _read(Path(overlay).expanduser()) if overlay else rules


def _read(path: Path) -> dict[str, RetryRule]:
    try:
        rows: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {name: RetryRule(**row) for name, row in rows.items()}
    except (OSError, yaml.YAMLError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no table of retries, which holds lines like "
            f"`NetworkTrouble: {{tries: 5, delay_minutes: 15, backoff: 4}}`: {error}"
        ) from error
