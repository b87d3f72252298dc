"""Weights files by path and by URL, from a real server with TLS on loopback."""

from __future__ import annotations

import hashlib
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from internvid.scores.weights_file import MAX_BYTES, WeightsFile

CONTENTS = b"some weights" * 100
SHA256 = hashlib.sha256(CONTENTS).hexdigest()


class Server(ThreadingHTTPServer):
    requests: list[str]
    plain_url: str


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        match self.path:
            case "/moved.pth":
                self.send_response(302)
                self.send_header("Location", "/head.pth")
                self.end_headers()
            case "/to-plain.pth":
                self.send_response(302)
                self.send_header("Location", self.server.plain_url)
                self.end_headers()
            case "/endless.pth":
                self.send_response(200)
                self.end_headers()
                for _ in range(MAX_BYTES // (1 << 20) + 1):
                    self.wfile.write(bytes(1 << 20))
            case "/huge.pth" | "/cut.pth" | "/head.pth":
                length = {"/huge.pth": MAX_BYTES + 1, "/cut.pth": len(CONTENTS) + 1}.get(self.path, len(CONTENTS))
                self.send_response(200)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(CONTENTS)
            case _:
                self.send_error(404)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "127.0.0.1.pem"
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()) + certificate.public_bytes(pem))
    return file


@pytest.fixture
def server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    plain = _serving(Server(("127.0.0.1", 0), Handler))
    secure = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    secure.plain_url = f"http://127.0.0.1:{plain.server_port}/head.pth"
    yield _serving(secure)
    for running in (secure, plain):
        running.shutdown()
        running.server_close()


def _serving(server: Server) -> Server:
    server.requests = []
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def at(server: Server, name: str, cache: Path, **settings: str) -> WeightsFile:
    return WeightsFile(f"https://127.0.0.1:{server.server_port}/{name}", cache=cache, **settings)


def test_a_url_is_fetched_once(server, tmp_path):
    file = at(server, "head.pth", tmp_path)
    before = file.version
    assert (file.file, file.digest) == (None, None)
    assert file.fetched().read_bytes() == CONTENTS
    assert file.fetched() == file.file
    assert server.requests == ["/head.pth"]
    assert (file.name, file.digest, file.version) == ("head", SHA256, before)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["head.pth"]


def test_a_redirection_within_https_is_followed(server, tmp_path):
    assert at(server, "moved.pth", tmp_path).fetched().read_bytes() == CONTENTS


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("to-plain.pth", ValueError, "https only"),
        ("huge.pth", ValueError, "larger than 64 MiB"),
        ("endless.pth", ValueError, "larger than 64 MiB"),
        ("cut.pth", OSError, "1200 of 1201 bytes"),
        ("none.pth", OSError, "404"),
    ],
)
def test_what_cannot_be_had_safely_is_refused_and_leaves_nothing(server, tmp_path, name, error, message):
    with pytest.raises(error, match=message):
        at(server, name, tmp_path).fetched()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_other_schemes_are_refused(tmp_path):
    head = tmp_path / "head.pth"
    head.write_bytes(CONTENTS)
    for url in (head.as_uri(), "http://127.0.0.1:9/head.pth", "ftp://127.0.0.1/head.pth"):
        with pytest.raises(ValueError, match="https only"):
            WeightsFile(url, cache=tmp_path / "cache").fetched()


def test_a_server_without_a_trusted_certificate_is_refused(server, tmp_path, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        at(server, "head.pth", tmp_path).fetched()


def test_the_sha256_is_held_against_the_file_every_time(server, tmp_path):
    assert at(server, "head.pth", tmp_path, sha256=SHA256.upper()).fetched().read_bytes() == CONTENTS
    with pytest.raises(ValueError, match="another file"):
        at(server, "head.pth", tmp_path, sha256="0" * 64).fetched()


def test_a_path_is_read_where_it_is_and_its_version_follows_its_contents(tmp_path):
    file = tmp_path / "my head.pth"
    assert WeightsFile(str(file)).version == "my head@"
    with pytest.raises(FileNotFoundError, match="my head"):
        WeightsFile(str(file)).fetched()
    file.write_bytes(CONTENTS)
    assert WeightsFile(str(file)).fetched() == file
    first = WeightsFile(str(file)).version
    assert first == f"my head@{SHA256[:12]}"
    file.write_bytes(b"others")
    assert WeightsFile(str(file)).version != first
