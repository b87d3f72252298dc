"""Reads the packets of a file that may be damaged: the one place that knows how PyAV says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import av
import av.container
import av.error


def packets_or_error(
    container: av.container.InputContainer, streams: Sequence[av.VideoStream | av.AudioStream]
) -> Iterator[av.Packet | Exception]:
    """Yields packets up to the end. Where a damaged file gives no further one, the last item is the error."""
    packets = container.demux(list(streams))
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, IndexError) as error:  # IndexError: of a stream that a damaged file begins late
            yield error
            return
        if packet is None:
            return
        yield packet
