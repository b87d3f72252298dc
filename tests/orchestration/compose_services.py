"""The services of deploy/compose.yaml as processes of this machine: their very commands, environment and healthchecks.

Docker is not needed. What a container would have is put in its place: names of hosts and of folders become addresses on
loopback and folders of the test. Postgres and the object store, whose images are not ours, are servers of the tests.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dagster_service import REPOSITORY, running
from dotenv import dotenv_values

DEPLOY = REPOSITORY / "deploy"
PROGRAMS = Path(sys.executable).parent
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<kind>:-|-|:\?)(?P<default>[^}]*))?\}")
SECONDS_FOR_A_HEALTHCHECK = 60
OF_THE_MACHINE = ("PATH", "PYTHONPATH", "LANG")  # what an image would have of its own


def compose(file: str, values: Mapping[str, str]) -> dict[str, Any]:
    """The file as Docker reads it. Raises KeyError for a required variable without a value."""
    return _interpolated(yaml.safe_load((DEPLOY / file).read_text(encoding="utf-8")), values)


def _interpolated(node: Any, values: Mapping[str, str]) -> Any:
    """Docker puts the values into the texts of the parsed file, so none of them can change its structure."""
    if isinstance(node, dict):
        return {name: _interpolated(value, values) for name, value in node.items()}
    if isinstance(node, list):
        return [_interpolated(value, values) for value in node]
    return VARIABLE.sub(lambda match: _value(match, values), node) if isinstance(node, str) else node


def _value(match: re.Match[str], values: Mapping[str, str]) -> str:
    name, kind, default = match["name"], match["kind"], match["default"]
    given = values.get(name)
    if kind == "-":
        return default if given is None else given
    if kind == ":-":
        return given or default
    if not given:
        raise KeyError(name)
    return given


def values_of_the_example(**secrets: str) -> dict[str, str]:
    """.env.example, with its secrets filled in."""
    values = {name: text or "" for name, text in dotenv_values(DEPLOY / ".env.example").items()}
    assert {name for name, text in values.items() if not text} == set(secrets)
    return values | secrets


@dataclass
class Services:
    """The services of a compose file on this machine.

    compose: as Docker reads it. replacements: text of a container -> text here, in commands and environments.
    folder: for logs, and the home of the processes.
    """

    compose: Mapping[str, Any]
    replacements: Mapping[str, str]
    folder: Path

    def __post_init__(self) -> None:
        self._running: dict[str, ExitStack] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, service: str) -> dict[str, str]:
        of_the_machine = {name: os.environ[name] for name in OF_THE_MACHINE if name in os.environ}
        # The programs of this environment, as an image has its own first.
        of_the_machine["PATH"] = os.pathsep.join([str(PROGRAMS), of_the_machine["PATH"]])
        given = self.compose["services"][service]["environment"]
        return of_the_machine | {"HOME": str(self.folder)} | {name: self._here(text) for name, text in given.items()}

    def command(self, service: str) -> list[str]:
        return [self._here(word) for word in self.compose["services"][service]["command"]]

    def start(self, service: str) -> None:
        stack = ExitStack()
        folder = self.folder / service
        folder.mkdir(exist_ok=True)
        process = running(self.command(service), self.environment(service), folder)
        self.processes[service] = stack.enter_context(process)
        self._running[service] = stack

    def stop(self, service: str) -> None:
        self._running.pop(service).close()

    def stop_all(self) -> None:
        for service in reversed(list(self._running)):
            self.stop(service)

    def run(self, service: str) -> subprocess.CompletedProcess[str]:
        """Runs a service that ends by itself."""
        return self._ended(service, self.command(service))

    def is_healthy(self, service: str) -> bool:
        """What the healthcheck says."""
        self.require(service)
        kind, *check = self.compose["services"][service]["healthcheck"]["test"]
        assert kind == "CMD"
        return self._ended(service, [self._here(word) for word in check]).returncode == 0

    def require(self, service: str) -> None:
        """Raises AssertionError where the service ended by itself."""
        assert self.processes[service].poll() is None, f"{service} ended by itself: {self.logs(service)}"

    def logs(self, service: str) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted((self.folder / service).glob("*.log")))

    def _ended(self, service: str, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PROGRAMS / command[0]), *command[1:]],
            env=self.environment(service),
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=SECONDS_FOR_A_HEALTHCHECK,
            check=False,
        )

    def _here(self, text: object) -> str:
        result = str(text)
        for there, here in self.replacements.items():
            result = result.replace(there, here)
        return result
