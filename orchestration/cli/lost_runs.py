"""Ends the runs of a code location that was lost, once the next one answers: the daemon then starts each again.

A process beside the server, which is another program by then. Earlier the daemon could not start them: it retries a run
at once when it ends, and needs the code location for it.
"""

import subprocess
import sys
import time
from pathlib import Path

import dagster as dg

from orchestration.cli.liveness import end_runs

SECONDS_TO_START = 600  # loading the code takes seconds, on a busy machine a minute
SECONDS_TO_BE_NOTICED = 15  # the daemon asks each second whether the server is another one
MESSAGE = "the code location that ran it was lost; what it had committed stays"


def main(host: str, port: str, *run_ids: str) -> None:
    """Waits until the server answers, and the daemon knows it; then ends the runs."""
    dagster = str(Path(sys.executable).with_name("dagster"))
    check = [dagster, "api", "grpc-health-check", "--host", host, "--port", port]
    end = time.monotonic() + SECONDS_TO_START
    while subprocess.run(check, capture_output=True, check=False).returncode and time.monotonic() < end:
        time.sleep(1)
    time.sleep(SECONDS_TO_BE_NOTICED)
    with dg.DagsterInstance.get() as instance:
        end_runs(instance, run_ids, MESSAGE)


if __name__ == "__main__":
    main(*sys.argv[1:])
