"""Decides when the assets run, and in what order: definitions, jobs, sensors, schedules, and the command line."""

import os

# Set before torch is imported, here and in child processes. Otherwise waiting threads of OpenMP keep their cores busy:
# on two cores with other work at the same time, a step of training took eight times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
