"""An S3 server for tests: `python s3_server.py PORT`. Conditional writes are atomic, as in real stores: moto checks the
condition and writes in two steps, between which another thread may write.
"""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

BUCKET = "lakes"
CONDITIONS = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH")


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Lance's storage options for a bucket named BUCKET on an S3 server, in a process of its own."""
    import boto3

    port = free_port()
    server = subprocess.Popen(
        [sys.executable, __file__, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port, server)
        endpoint = f"http://127.0.0.1:{port}"
        access = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **access).create_bucket(Bucket=BUCKET)
        yield {"aws_endpoint": endpoint, "allow_http": "true", "aws_region": "us-east-1", **access}
    finally:
        server.terminate()
        server.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for(port: int, server: subprocess.Popen) -> None:
    for _ in range(600):
        assert server.poll() is None, "the S3 server ended by itself"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"no S3 server on port {port}")


def serve(port: int) -> None:
    from moto.server import MotoRequestHandler, create_backend_app
    from werkzeug.serving import run_simple

    moto = create_backend_app("s3")  # without looking for the service of each request, which took a third of the time
    one_at_a_time = threading.Lock()

    def application(request: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if request["REQUEST_METHOD"] in ("PUT", "POST") and any(condition in request for condition in CONDITIONS):
            with one_at_a_time:
                return moto(request, start_response)
        return moto(request, start_response)

    run_simple("127.0.0.1", port, application, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever its parent ignores
    serve(int(sys.argv[1]))
