"""What reading a subtitle file gives: its cues, and what could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field

from internvid.speech.cues import RawCue

UNREAD_SHOWN = 5  # places in a message
SHOWN_CHARACTERS = 60


class UnreadableSubtitles(ValueError):
    """The subtitles cannot be read. The message names the file or stream, and the reason."""


@dataclass(frozen=True)
class Unread:
    """A cue that could not be read. line: its first in the file, from 1; in JSON and streams the cue's number."""

    line: int
    why: str


@dataclass
class Reading:
    """The cues of one track of a file, with what could not be read.

    form: its name, for people. language: as the file states it, in any form of tag. is_automatic: whether a machine
    heard the words. clock_seconds: by an X-TIMESTAMP-MAP of HLS, the time on the video's own clock at which the cues'
    zero lies; None without one.
    """

    form: str
    cues: list[RawCue] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    language: str | None = None
    is_automatic: bool = False
    clock_seconds: float | None = None

    def lose(self, line: int, why: str) -> None:
        self.unread.append(Unread(line, why))

    @property
    def complaint(self) -> str | None:
        """Says how many cues could not be read, and where; None where all could."""
        if not self.unread:
            return None
        count, total = len(self.unread), len(self.unread) + len(self.cues)
        what = f"{count:,} of {total:,} cues could not be" if self.cues else f"none of {total:,} cues could be"
        places = [f"line {unread.line:,}: {unread.why}" for unread in self.unread[:UNREAD_SHOWN]]
        more = [f"and {count - UNREAD_SHOWN:,} more"] if count > UNREAD_SHOWN else []
        return f"{what} read as {self.form}: {'; '.join([*places, *more])}"


def shown(text: str) -> str:
    """Returns the beginning of a line, quoted for a message."""
    text = text.strip()
    return repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…")
