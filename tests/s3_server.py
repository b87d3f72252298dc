"""An S3 server for tests: `python s3_server.py PORT`. Conditional writes are atomic, as in real stores: moto checks the
condition and writes in two steps, between which another thread may write.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

CONDITIONS = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH")

moto = create_backend_app("s3")  # without looking for the service of each request, which took a third of the time
one_at_a_time = threading.Lock()


def application(request: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if request["REQUEST_METHOD"] in ("PUT", "POST") and any(condition in request for condition in CONDITIONS):
        with one_at_a_time:
            return moto(request, start_response)
    return moto(request, start_response)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever its parent ignores
    run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=True, request_handler=MotoRequestHandler)
