"""Links from the explorer to the Dagster UI, and back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from orchestration.definitions import definitions
from orchestration.explorer.dagster_ui import DagsterUI
from orchestration.settings import Settings


class _ServerInfo(BaseHTTPRequestHandler):
    """What `dagster-webserver` answers to the question which version it is."""

    def do_GET(self) -> None:
        body = b'{"dagster_webserver_version":"1.13.0","dagster_version":"1.13.0"}'
        self.send_response(200 if self.path == "/server_info" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def ui() -> Iterator[str]:
    """The address of a server that answers as the UI does."""
    with HTTPServer(("127.0.0.1", 0), _ServerInfo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_clip_links_to_assets_partitions_and_runs_where_the_ui_runs(explored, serve, ui):
    served = serve(explored)
    clip = served.lake.query("select clip_id, ingest_batch, run_id from clips limit 1").to_pylist()[0]
    page = f"/clips/{clip['clip_id']}/story"
    assert "/assets/" not in served.get(page).text
    served.explorer.dagster_ui = DagsterUI(ui)
    text = served.get(page).text
    assert f'href="{ui}/assets/clips?view=partitions&amp;partition={clip["ingest_batch"]}"' in text
    assert f'href="{ui}/runs/{clip["run_id"]}"' in text


def test_another_server_at_that_address_is_not_the_ui(served):
    assert not DagsterUI(served.url).runs()
    assert not DagsterUI("file:///etc").runs()


def test_assets_in_the_ui_link_to_the_explorer(tmp_path):
    settings = Settings(lake=str(tmp_path), explorer_url="http://explorer.example/")
    specs = definitions(settings).resolve_all_asset_specs()
    assert {spec.metadata["explorer"].value for spec in specs} == {"http://explorer.example/"}
