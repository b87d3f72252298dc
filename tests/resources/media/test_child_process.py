"""Children that hang, crash, eat memory, die or throw what nobody can read: each costs its own input and no other."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from resources.incremental.retries import FailurePolicy
from resources.media.child_process import DecoderCrashed, DecoderKilled, DecoderTimedOut, RaisedInChild, ordered

MEMORY_BYTES = 2 << 30


class TwoArguments(Exception):
    """Pickles, and cannot be unpickled: its arguments are not what its class wants."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} at {where}")


class Unpicklable(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.callback = lambda: text


# --- what children do; the functions have to stand at the top of a module -----------------------------------------


def behave(how: str, notes: str = "") -> Any:
    """Does what `how` says; leaves a file named after its process in the folder `notes`."""
    if notes:
        Path(notes, str(os.getpid())).touch()
    match how.split()[0]:
        case "hang":
            time.sleep(3600)
        case "abort":
            os.abort()
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "segfault":
            ctypes.string_at(0)
        case "eat":
            eaten = []
            while True:
                eaten.append(bytearray(64 << 20))
        case "raise":
            raise ValueError(how)
        case "exit":
            raise SystemExit(how)
        case "two":
            raise TwoArguments("torn", "packet 7")
        case "unpicklable":
            raise Unpicklable("odd")
        case "sleep":
            time.sleep(float(how.split()[1]))
        case "die":  # not now: when the result is out and the child waits for its next file
            threading.Timer(0.2, os.abort).start()
    return how.upper()


def run(
    inputs: Iterable[str], *, seconds: float = 120, workers: int = 2, notes: Path | None = None
) -> Iterator[tuple[str, Any]]:
    return ordered(
        behave,
        inputs,
        arguments=lambda how: (how, str(notes or "")),
        seconds=lambda how: 1.0 if how in ("hang", "stopped") else seconds,
        workers=workers,
        memory_bytes=MEMORY_BYTES,
    )


def told(outcomes: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Errors as (class, text), so that they compare."""
    return [(how, (type(it), str(it)) if isinstance(it, BaseException) else it) for how, it in outcomes]


def right(*inputs: str) -> list[tuple[str, Any]]:
    return [(how, how.upper()) for how in inputs]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def noted(notes: Path) -> list[int]:
    return [int(path.name) for path in notes.iterdir()]


# --- tests ------------------------------------------------------------------------------------------------------


def test_results_come_in_the_order_of_the_inputs_however_long_each_takes():
    inputs = ["sleep 0.6", "a", "sleep 0.3", "b", "c", "sleep 0.1", "d"]
    assert told(run(inputs)) == right(*inputs)


def test_an_error_is_the_outcome_of_its_input_with_its_class_and_text():
    assert told(run(["a", "raise 'no' [1]", "b"])) == [
        *right("a"),
        ("raise 'no' [1]", (ValueError, "raise 'no' [1]")),
        *right("b"),
    ]


@pytest.mark.parametrize(
    ("how", "text"), [("two", "TwoArguments: torn at packet 7"), ("unpicklable", "Unpicklable: odd")]
)
def test_an_error_that_cannot_travel_between_processes_is_told_by_name_and_costs_no_other_input(how, text):
    assert told(run(["a", how, "b", "c", "d", "e"])) == [
        *right("a"),
        (how, (RaisedInChild, text)),
        *right("b", "c", "d", "e"),
    ]


def test_an_exit_in_the_child_does_not_end_the_parent():
    assert told(run(["exit now", "a"])) == [("exit now", (SystemExit, "exit now")), *right("a")]


def test_a_child_that_the_system_kills_is_an_error_of_its_input_that_is_tried_again():
    ((how, error),) = [outcome for outcome in run(["a", "killed", "b"]) if outcome[0] == "killed"]
    assert isinstance(error, DecoderKilled), how
    assert "killed (SIGKILL), as the system does where its memory runs out" in str(error)
    assert FailurePolicy().retry(type(error)).tries == 3
    assert FailurePolicy().retry(DecoderCrashed).tries == 1, "a file that crashes the decoder does so again"


def test_a_child_that_is_stopped_is_killed_at_its_limit_and_costs_no_other_input():
    outcomes = dict(told(run(["a", "stopped", "b"])))
    assert outcomes.pop("stopped")[0] is DecoderTimedOut
    assert outcomes == {"a": "A", "b": "B"}


@pytest.mark.parametrize(("how", "code"), [("abort", -signal.SIGABRT), ("segfault", -signal.SIGSEGV)])
def test_a_child_that_crashes_costs_its_own_input_and_the_others_are_right_and_in_order(how, code):
    outcomes = told(run(["a", "b", how, "sleep 0.3", "c", how, "d", "e"]))
    crashed = (
        DecoderCrashed,
        f"the decoder crashed on this file (Abnormal termination, exit code {int(code)})",
    )
    assert outcomes == [
        *right("a", "b"),
        (how, crashed),
        *right("sleep 0.3", "c"),
        (how, crashed),
        *right("d", "e"),
    ]


def test_a_child_that_dies_between_two_inputs_is_replaced():
    def inputs() -> Iterator[str]:
        yield from ["a", "die", "sleep 0.1"]
        time.sleep(2)  # the child is dead by now, and nobody was waiting for it
        yield from ["b", "c"]

    outcomes = told(run(inputs(), workers=1))
    assert [how for how, _ in outcomes] == ["a", "die", "sleep 0.1", "b", "c"]
    assert [outcome for outcome in outcomes if outcome[0] != "sleep 0.1"] == right("a", "die", "b", "c")


def test_a_child_that_hangs_is_killed_at_its_limit_and_the_error_says_so(tmp_path, until):
    outcomes = told(run(["hang", "a", "b"], notes=tmp_path))
    assert outcomes == [
        ("hang", (DecoderTimedOut, "not finished after 1 s, its limit by length; the child was killed")),
        *right("a", "b"),
    ]
    until(lambda: not any(map(is_alive, noted(tmp_path))), "the children's end")


def test_a_child_that_eats_memory_meets_its_limit():
    assert told(run(["a", "eat", "b"])) == [*right("a"), ("eat", (MemoryError, "")), *right("b")]


def test_look_ahead_is_bounded():
    taken: list[str] = []

    def inputs() -> Iterator[str]:
        for number in range(20):
            taken.append(f"n{number}")
            yield taken[-1]

    ahead = [len(taken) - number for number, _ in enumerate(run(inputs(), workers=2))]
    assert len(taken) == 20
    assert max(ahead) == 4
    assert min(ahead) == 1


def test_no_child_is_left_after_use(tmp_path):
    assert told(run(["a", "b", "c"], notes=tmp_path)) == right("a", "b", "c")
    assert noted(tmp_path)
    assert [pid for pid in noted(tmp_path) if is_alive(pid)] == []


def test_no_child_is_left_when_the_results_are_not_all_taken(tmp_path):
    outcomes = run(["a", "sleep 3600", "sleep 3600", "b"], notes=tmp_path)
    assert next(outcomes) == ("a", "A")
    outcomes.close()  # type: ignore[attr-defined]
    assert [pid for pid in noted(tmp_path) if is_alive(pid)] == []


def test_no_inputs_start_no_child():
    assert list(run([])) == []


PARENT = """
import sys
sys.path.insert(0, {folder!r})
from pathlib import Path
import test_child_process
if __name__ == "__main__":
    list(test_child_process.run(["sleep 3600"] * 3, seconds=3600, notes=Path({notes!r})))
"""


def test_a_long_path_for_temporary_files_is_no_hindrance(tmp_path: Path):
    folder, notes = tmp_path / ("long" * 20), tmp_path / "notes"
    folder.mkdir()
    notes.mkdir()
    script = tmp_path / "parent.py"
    text = PARENT.replace('["sleep 3600"] * 3', '["a", "b"]')
    script.write_text(text.format(folder=str(Path(__file__).parent), notes=str(notes)))
    environment = dict(os.environ) | {"TMPDIR": str(folder)}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert noted(notes)


def test_children_that_are_still_starting_when_the_work_ends_say_nothing(tmp_path: Path):
    script = tmp_path / "parent.py"
    rounds = "import sys; sys.path.insert(0, {folder!r}); import test_child_process as t\n"
    rounds += "if __name__ == '__main__':\n    [list(t.run(['a'], workers=8)) for _ in range(5)]\n"
    script.write_text(rounds.format(folder=str(Path(__file__).parent)))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_children_die_with_a_parent_that_is_killed(
    tmp_path: Path, until: Callable[..., None], processes_in_session: Callable[[int], list[str]]
):
    notes = tmp_path / "notes"
    notes.mkdir()
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(folder=str(Path(__file__).parent), notes=str(notes)))
    parent = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    try:
        until(lambda: len(noted(notes)) == 2, "two children at work")
        assert all(map(is_alive, noted(notes)))
        parent.kill()
        parent.wait()
        until(lambda: processes_in_session(parent.pid) == [], "the end of all that it started")
    finally:
        for pid in [parent.pid, *noted(notes)]:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
