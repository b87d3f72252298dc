"""A proxy before an S3 server that fails at random: it refuses, delays, cuts connections, loses answers, asks twice.

The worst of them is an answer that is lost after the store did what was asked: the client cannot know whether it did.
"""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
SECONDS_OF_DELAY = 1.0
# Kind of failure -> share of requests.
RARE = {
    "500": 0.01,
    "503": 0.01,
    "delay": 0.01,
    "cut before": 0.01,
    "cut within": 0.01,
    "answer lost": 0.01,
    "error after": 0.01,
    "twice": 0.01,
}


class FailingProxy(ThreadingHTTPServer):
    """Forwards to the server at `to`. failures: share of requests by kind. counts: failures so far, by kind."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, to: str, failures: Mapping[str, float], seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.to = urlsplit(to)
        self.failures = dict(failures)
        self.counts: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next_failure(self) -> str | None:
        with self._lock:
            kinds, shares = list(self.failures), list(self.failures.values())
            (kind,) = self._chance.choices([None, *kinds], [1 - sum(shares), *shares])
            self.counts[kind or "none"] += 1
            return kind

    def handle_error(self, *request: object) -> None:
        """Says nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    server: FailingProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a head and its content are two packets

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        failure = self.server.next_failure()
        if failure == "delay":
            time.sleep(SECONDS_OF_DELAY)
        if failure == "cut before":
            return self.cut()
        if failure in ("500", "503"):
            return self.refuse(int(failure))
        answer = self.forwarded(body)
        if failure == "twice":
            answer = self.forwarded(body)
        if failure == "answer lost":
            return self.cut()
        if failure == "error after":
            return self.refuse(503)
        status, headers, content = answer
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if failure == "cut within":
            self.wfile.write(content[: len(content) // 2])
            return self.cut()
        if self.command != "HEAD":
            self.wfile.write(content)
        return None

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

    def forwarded(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        to = self.server.to
        assert to.hostname is not None
        connection = http.client.HTTPConnection(to.hostname, to.port, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        try:
            connection.request(self.command, self.path, body=body or None, headers=headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP]
        length = response.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        return response.status, [*kept, ("Content-Length", length or "0")], content

    def refuse(self, status: int) -> None:
        content = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def cut(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def failing_proxy(to: str, failures: Mapping[str, float], seed: int = 0) -> Iterator[FailingProxy]:
    """Yields a proxy on loopback before the server at the URL `to`."""
    proxy = FailingProxy(to, failures, seed)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
