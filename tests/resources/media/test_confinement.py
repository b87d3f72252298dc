"""What a child process may do that decodes a file of a stranger."""

import errno
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resources.media.child_process import ordered
from resources.media.confinement import Confinement, available
from resources.media.store import Media
from resources.media.video_file import Inspected

pytestmark = pytest.mark.skipif(not available(), reason="the kernel has neither Landlock nor seccomp for this machine")

ACTS: dict[str, Callable[[Path, int], Any]] = {
    "read": lambda folder, port: (folder / "there").read_text(),
    "write": lambda folder, port: (folder / "new").write_text("x"),
    "truncate": lambda folder, port: os.truncate(folder / "there", 0),
    "append": lambda folder, port: (folder / "there").open("a"),
    "remove": lambda folder, port: (folder / "there").unlink(),
    "rename": lambda folder, port: (folder / "there").rename(folder / "elsewhere"),
    "link": lambda folder, port: (folder / "link").symlink_to("there"),
    "make a folder": lambda folder, port: (folder / "sub").mkdir(),
    "start a program": lambda folder, port: subprocess.run([sys.executable, "-c", ""], check=True),
    "connect": lambda folder, port: socket.create_connection(("127.0.0.1", port)).close(),
    "send": lambda folder, port: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port)),
    "use a temporary file": lambda folder, port: tempfile.TemporaryFile().close(),
    "listen": lambda folder, port: socket.create_server(("127.0.0.1", 0)).close(),
}
ALWAYS = {"read", "use a temporary file"}
CONNECTING = {"connect", "send", "listen"}


def act(name: str, folder: str, port: int) -> str:
    try:
        ACTS[name](Path(folder), port)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


@pytest.fixture
def port() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("within", [False, True])
def test_a_confined_child_reads_and_changes_only_its_folder_and_reaches_only_what_it_may(
    tmp_path, port, within, network
):
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder in (mine, other):
        folder.mkdir()
        (folder / "there").write_text("as it was")
    folder = mine if within else other
    confinement = Confinement(str(mine), network)
    outcomes = dict(
        ordered(
            act,
            ACTS if not within else [name for name in ACTS if name not in ("remove", "rename")],
            arguments=lambda name: (name, str(folder), port),
            seconds=lambda name: 60,
            workers=1,
            memory_bytes=4 << 30,
            confinement=lambda name: confinement,
        )
    )
    allowed = ALWAYS | (CONNECTING if network else set()) | (set(ACTS) - CONNECTING if within else set())
    allowed -= {"start a program"}
    assert outcomes == {name: "done" if name in allowed else "EACCES" for name in outcomes}
    assert (other / "there").read_text() == "as it was"
    assert [path.name for path in other.iterdir()] == ["there"]


def test_the_children_that_decode_videos_are_confined(tmp_path, synthetic_video):
    """By the kernel: a filter of system calls shows in the state of a process."""
    media = Media(root=str(tmp_path / "store"), workers=1)
    video = synthetic_video(tmp_path, "a.mp4")
    own, ended = filters(os.getpid()), threading.Event()  # in a container there may be one already
    filtered: set[int] = set()

    def watch() -> None:
        while not ended.wait(0.005):
            filtered.update(pid for pid in descendants(os.getpid()) if filters(pid) > own)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        ((_, inspected),) = media.inspect([str(video)])
    finally:
        ended.set()
        watching.join()
    assert isinstance(inspected, Inspected)
    assert len(filtered) == 1


def descendants(pid: int) -> list[int]:
    children = [
        int(child)
        for path in Path(f"/proc/{pid}/task").glob("*/children")
        for child in (path.read_text() if path.exists() else "").split()
    ]
    return children + [deeper for child in children for deeper in descendants(child)]


def filters(pid: int) -> int:
    """Returns how many filters of system calls the process has."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0  # it has ended
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("Seccomp_filters:")), 0)


def test_other_children_of_the_same_call_are_not_confined_with_it(tmp_path, port):
    """A file that has to be fetched first needs the network, and the next one does not."""
    (tmp_path / "there").touch()
    inputs = ["connect", "connect there", "connect"]
    outcomes = ordered(
        act,
        inputs,
        arguments=lambda name: (name.removesuffix(" there"), str(tmp_path), port),
        seconds=lambda name: 60,
        workers=1,
        memory_bytes=4 << 30,
        confinement=lambda name: Confinement(str(tmp_path), network=name == "connect there"),
    )
    assert list(outcomes) == [("connect", "EACCES"), ("connect there", "done"), ("connect", "EACCES")]
