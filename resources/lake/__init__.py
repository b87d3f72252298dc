"""The store of tables, and what keeps it fast. `resources.lake.store` is where to begin."""

import os

# Read by Lance when it is imported, here and in child processes. Its warnings are of its own insides ("partition 17 is
# empty, skipping"), a line for each partition, in the terminal of whoever runs maintenance.
os.environ.setdefault("LANCE_LOG", "error")
