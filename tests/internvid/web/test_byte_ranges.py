"""Byte ranges as browsers and others ask for them."""

from __future__ import annotations

import pytest

from internvid.web.byte_ranges import Unsatisfiable, requested_range

LARGE = 5 << 30


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        ("bytes=0-", 10, (0, 10)),
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=2-4", 10, (2, 5)),
        ("bytes=9-", 10, (9, 10)),
        ("bytes=5-999", 10, (5, 10)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-999", 10, (0, 10)),
        ("Bytes = 1 - 2", 10, (1, 3)),
        (f"bytes={4 << 30}-", LARGE, (4 << 30, LARGE)),
        ("bytes=-1", LARGE, (LARGE - 1, LARGE)),
        # Ignored, so that the whole file is sent.
        (None, 10, None),
        ("", 10, None),
        ("bytes=", 10, None),
        ("bytes=-", 10, None),
        ("bytes=4-2", 10, None),
        ("bytes=a-b", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("items=0-1", 10, None),
        ("bytes=0x1-2", 10, None),
        (f"bytes={'9' * 40}-", 10, None),
    ],
)
def test_which_bytes_a_request_asks_for(header, size, expected):
    assert requested_range(header, size) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0", f"bytes={'9' * 19}-"])
def test_a_range_beyond_the_file_cannot_be_satisfied(header):
    with pytest.raises(Unsatisfiable):
        requested_range(header, 10)


def test_nothing_of_an_empty_file_can_be_asked_for():
    with pytest.raises(Unsatisfiable):
        requested_range("bytes=0-", 0)
    assert requested_range(None, 0) is None
