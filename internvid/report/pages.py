"""The templates of pages: jinja2 with everything escaped."""

from __future__ import annotations

from pathlib import Path

import jinja2


def page_environment(*folders: Path) -> jinja2.Environment:
    """Returns the environment in which the templates of this folder, and before it of `folders`, are rendered."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, Path(__file__).parent]),
        autoescape=True,  # always: the default depends on the file's suffix
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
