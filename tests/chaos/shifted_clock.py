"""The clock of processes that are started, ahead of the machine's, and moved while they run.

with shifted_clock(folder) as clock:
    subprocess.Popen(command, env=os.environ | clock.environment)
    clock.advance(timedelta(hours=1))
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


@dataclass
class ShiftedClock:
    """A clock that other processes have. environment: with which a process is started to have it."""

    file: Path
    library: Path
    ahead: float = 0.0

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "SHIFTED_CLOCK": str(self.file)}

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.ahead, UTC)

    def advance(self, by: timedelta) -> None:
        self.ahead += by.total_seconds()
        with self.file.open("r+b") as file:  # in one write: others have it mapped
            file.write(struct.pack("d", self.ahead))

    def set(self, to: datetime) -> None:
        self.advance(to - self.now())


def compiler() -> str | None:
    """Returns the machine's C compiler, which is needed for it."""
    return shutil.which("cc")


@contextmanager
def shifted_clock(folder: Path) -> Iterator[ShiftedClock]:
    """Compiles what shifts it into the folder. Afterwards the clock stands where it was last."""
    cc = compiler()
    assert cc is not None, "a C compiler is needed"
    library, file = folder / "shifted_clock.so", folder / "clock"
    subprocess.run([cc, "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl", "-lm"], check=True)
    file.write_bytes(struct.pack("d", 0.0))
    os.chmod(file, 0o644)
    yield ShiftedClock(file, library)
