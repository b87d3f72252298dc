"""The providers to models of a server against `transformers serve`, with tiny models and no network."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import numpy as np
import pytest
from PIL import Image
from tiny_captioners import llava
from tiny_language_models import tiny_chat

from internvid.captions.measured import FrameCaption
from internvid.captions.summary import ClipMeasures, ClipSummary, TimedCaption
from internvid.chat_server import Refused
from internvid.text.generated import Generated
from resources.models.hub_captioner import HubCaptioner
from resources.models.hub_summariser import HubSummariser
from resources.models.server_captioner import ServerCaptioner
from resources.models.server_summariser import ServerSummariser
from resources.models.server_translator import ServerTranslator

pytestmark = pytest.mark.slow

MEASURES = ClipMeasures(5.0, *[0.0] * 9)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server that loads the model that a question names, from its folder."""
    home = tmp_path_factory.mktemp("hugging face")
    (home / "hub").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()"]
    log = home / "log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [*command, "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
            env=environment,
            stdout=written,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"
    direct = build_opener(ProxyHandler({}))  # by no proxy of the environment

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            with direct.open(f"{address}/health") as response:
                return response.status == 200
        except URLError:
            return False

    try:
        while not answers():  # a minute where the machine has much else to do; pytest's limit bounds it
            time.sleep(0.1)
        yield f"{address}/v1"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_chat(tmp_path_factory.mktemp("models") / "chat")


@pytest.fixture(scope="module")
def vision_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llava(tmp_path_factory.mktemp("models") / "vision")


@pytest.fixture(scope="module")
def jpegs() -> list[bytes]:
    generator = np.random.default_rng(0)
    encoded = []
    for _ in range(6):
        jpeg = BytesIO()
        Image.fromarray(generator.integers(0, 256, (40, 40, 3), np.uint8)).save(jpeg, "JPEG")
        encoded.append(jpeg.getvalue())
    return encoded


def test_a_summary_is_what_the_same_model_writes_in_this_process(url: str, chat_model: Path) -> None:
    template = "Sum up: {captions}"
    clips = [
        (MEASURES, [TimedCaption(second, "fine", text, None, "some model") for second, text in enumerate(texts)])
        for texts in (["a pot", "a stove"], ["a dog runs"], ["a man", "a car", "a road"])
    ]
    here = HubSummariser(weights=str(chat_model), template=template, generation={"max_new_tokens": 8})
    served = ServerSummariser(url=url, served_model=str(chat_model), template=template, max_tokens=8, concurrency=3)
    summaries = served.summarise(clips)
    assert all(isinstance(summary, ClipSummary) for summary in summaries)
    assert summaries == here.summarise(clips)
    assert served.revision is not None
    assert str(chat_model) in served.revision


def test_captions_are_what_the_same_model_says_in_this_process(
    url: str, vision_model: Path, jpegs: list[bytes]
) -> None:
    settings: dict[str, Any] = {"prompt": "a picture of"}
    here = HubCaptioner(weights=str(vision_model), generation={"max_new_tokens": 8}, **settings)
    served = ServerCaptioner(url=url, served_model=str(vision_model), max_tokens=8, concurrency=3, **settings)
    captions = served.caption(jpegs)
    assert all(isinstance(caption, FrameCaption) for caption in captions)
    assert captions == here.caption(jpegs)
    together = served.caption_together(jpegs[:3])
    assert together.prompt_tokens is not None
    assert together.prompt_tokens > 3 * 4, "it read all three pictures"


def test_a_translation_comes_back_with_its_tokens(url: str, chat_model: Path) -> None:
    provider = ServerTranslator(url=url, served_model=str(chat_model), max_tokens=8)
    (answer,) = provider.translate([("Guten Tag", "de")])
    assert isinstance(answer, Generated)
    assert (answer.status, answer.output_tokens) == ("truncated", 8)


def test_a_model_that_is_not_there_is_an_error_of_the_server(url: str) -> None:
    provider = ServerCaptioner(url=url, served_model="/no/such/model", tries=1)
    (answer,) = provider.caption([b""])
    assert isinstance(answer, Exception)
    assert url in str(answer)


def test_a_field_that_the_server_does_not_know_is_refused_with_what_it_says(url: str, chat_model: Path) -> None:
    provider = ServerTranslator(url=url, served_model=str(chat_model), parameters={"nonsense": 1})
    (answer,) = provider.translate([("Guten Tag", "de")])
    assert isinstance(answer, Refused)
    assert "Unexpected fields" in str(answer)
    assert '"nonsense": 1' in str(answer)
