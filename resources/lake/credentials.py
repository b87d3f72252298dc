"""Keys among a bucket's options: a resource names the environment variable that holds them, and never the keys.

Dagster shows the configuration of every resource to whoever opens its UI, and keeps it in its database.
"""

import json
import os
import re
from collections.abc import Mapping

REFERENCE = "env:"  # before the name of the variable, in place of a key
IS_SECRET = re.compile(r"key|secret|token|password|credential|sas|signature", re.IGNORECASE)


def without_keys(options: Mapping[str, str], variable: str) -> dict[str, str]:
    """Returns the options with a reference to the environment variable, a JSON object, in place of each key in it.

    Keys that the variable does not hold stay: they were given by a program, and no UI was started with them.
    """
    held = _held_in(variable)
    return {
        name: f"{REFERENCE}{variable}" if IS_SECRET.search(name) and held.get(name) == value else value
        for name, value in options.items()
    }


def with_keys(options: Mapping[str, str]) -> dict[str, str]:
    """Returns the options with each key in place of its reference. Raises KeyError where the variable lacks it."""
    return {
        name: _held_in(value.removeprefix(REFERENCE))[name] if value.startswith(REFERENCE) else value
        for name, value in options.items()
    }


def _held_in(variable: str) -> dict[str, str]:
    return json.loads(os.environ.get(variable) or "{}")
