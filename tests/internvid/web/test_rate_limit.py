"""The rate limit of a site across processes."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from internvid.web.rate_limit import MAX_WAIT_SECONDS, wait_turn


def _turns(folder: Path, site: str, count: int) -> list[float]:
    turns = []
    for _ in range(count):
        wait_turn(site, 0.1, folder)
        turns.append(time.time())
    return turns


def test_turns_of_a_site_are_apart_among_processes_and_another_site_has_its_own(tmp_path: Path):
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        same = [pool.submit(_turns, tmp_path, "example.org", 3) for _ in range(2)]
        second_site = pool.submit(_turns, tmp_path, "example.net:80/..", 3)
        turns = sorted(turn for future in same for turn in future.result())
        second_turns = second_site.result()
    assert len(turns) == 6
    assert turns[-1] - turns[0] > 0.4  # five times 0.1, less the delay of the first turn
    assert second_turns[-1] - second_turns[0] < turns[-1] - turns[0]
    assert {path.parent for path in tmp_path.rglob("*")} == {tmp_path}


def test_a_clock_that_was_set_back_keeps_nobody_waiting_for_ever(tmp_path: Path):
    (tmp_path / "example.org").write_text(str(time.time() + 1e9))
    free = time.time() + MAX_WAIT_SECONDS
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        waiting = pool.submit(wait_turn, "example.org", 0.1, tmp_path)
        while float((tmp_path / "example.org").read_text()) > time.time() + 1e8:
            time.sleep(0.01)
        assert float((tmp_path / "example.org").read_text()) < free + 60
        assert not waiting.done()
        for process in pool._processes.values():
            process.kill()
