"""When, and in what order: definitions, partitions, jobs, sensors, schedules, checks, and the command line."""

import os

# Before torch is imported, here and in the processes that are started from here. Threads of OpenMP that wait for each
# other otherwise do so busily: on two cores with other work beside, a training step took eight times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
