"""A real HTTP server with OpenAI's chat protocol that does as a test's script says: in its turn, late, or badly.

Pictures are known by their grey: `picture(7)` is answered with "picture 7"; any other JPEG with `told_of` it. What is
asked without pictures is known by its last word.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

from PIL import Image

MODEL = "scripted-vl"
SIZE = (24, 16)  # of the pictures known by their grey
GREYS_APART = 5  # JPEG keeps a grey picture to within one


def picture(number: int) -> bytes:
    """A JPEG, of a number up to 50."""
    jpeg = BytesIO()
    Image.new("RGB", SIZE, (number * GREYS_APART,) * 3).save(jpeg, "JPEG")
    return jpeg.getvalue()


def told_of(jpeg: bytes) -> str:
    """What the server answers where a question is about this picture."""
    image = Image.open(BytesIO(jpeg))
    if image.size == SIZE:
        return f"picture {round(image.convert('L').getpixel((12, 8)) / GREYS_APART)}"
    return f"picture {hashlib.md5(jpeg, usedforsecurity=False).hexdigest()}"


class ScriptedServer(ThreadingHTTPServer):
    """script: for what a question is about, what happens at each try; after that, and without a script, the answer.

    An act is a name of ACTS, a status, a status with headers, or {"says": text}. late(about): seconds until the answer.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, script: Mapping[str, Sequence[Any]] | None = None, late: Any = lambda about: 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.late = script or {}, late
        self.lock = threading.Lock()
        self.tries: dict[str, list[float]] = defaultdict(list)  # when each was asked, by the monotonic clock
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answered: list[str] = []  # in the order of the answers
        self.under_way = self.max_under_way = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.headers.append(dict(self.headers))
        if self.path != "/v1/models":
            return self.answer(404, {"detail": "Not Found"})
        self.answer(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        about = _about(body["messages"][0]["content"])
        server = self.server
        with server.lock:
            attempt = len(server.tries[about])
            server.tries[about].append(time.monotonic())
            server.bodies.append(body)
            server.headers.append(dict(self.headers))
            server.under_way += 1
            server.max_under_way = max(server.max_under_way, server.under_way)
        time.sleep(server.late(about))
        with server.lock:  # before the answer, or the client's next question could come before it is counted down
            server.under_way -= 1
            server.answered.append(about)
        acts = server.script.get(about, ())
        self.act(acts[attempt] if attempt < len(acts) else "answer", about)

    def act(self, act: Any, about: str) -> None:
        match act:
            case int():
                self.answer(act, {"error": {"message": f"scripted {act}"}})
            case (int(), dict()):
                self.answer(act[0], {"error": {"message": f"scripted {act[0]}"}}, act[1])
            case {"says": text}:
                self.answer(200, completion(text))
            case "cut off":
                self.answer(200, completion(about), cut=True)
            case "filtered":
                self.answer(400, {"error": {"code": "content_filter", "message": "The prompt was filtered"}})
            case "no json":
                self.answer(200, None)
            case "drip":
                self.drip()
            case "reset":
                self.close_connection = True
            case _:
                self.answer(200, completion(about, act))

    def answer(self, status: int, body: Any, headers: Mapping[str, str] | None = None, *, cut: bool = False) -> None:
        content = b"<html>busy</html>" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = self.close_connection or cut

    def drip(self) -> None:
        """An answer that never ends, though a byte comes every little while."""
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        for _ in range(600):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.05)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def completion(about: str, act: str = "answer") -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": f" {about}\n"}
    reason = "stop"
    match act:
        case "truncated":
            reason = "length"
        case "blocked":
            reason, message["content"] = "content_filter", None
        case "refusal":
            message |= {"content": None, "refusal": "I cannot describe this."}
        case "empty":
            message["content"] = " \n"
        case "parts":
            message["content"] = [{"type": "text", "text": about}, {"type": "text", "text": " in parts"}]
    usage = {"prompt_tokens": 11, "completion_tokens": len(about.split()), "total_tokens": 11 + len(about.split())}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {"id": "1", "object": "chat.completion", "model": f"{MODEL}-2026", "choices": [choice], "usage": usage}


def _about(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content.split()[-1]
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    jpegs = [base64.b64decode(url.removeprefix("data:image/jpeg;base64,"), validate=True) for url in urls]
    return " ".join(map(told_of, jpegs))


@contextmanager
def scripted_server(script: Mapping[str, Sequence[Any]] | None = None, **settings: Any) -> Iterator[ScriptedServer]:
    """While the block runs, in threads of this process."""
    with ScriptedServer(script, **settings) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":  # in a process of its own, to be killed: prints its address
    with ScriptedServer(late=lambda about: float(sys.argv[1])) as alone:
        print(alone.url, flush=True)
        alone.serve_forever()
