"""Profiles: which model stands behind each provider."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.profiles import BUILT_IN, KINDS, profile, providers

BUILD_ALL = """
import json, sys, time
from orchestration.profiles import BUILT_IN, providers
started = time.perf_counter()
built = {name: {provider: made.version for provider, made in providers(name).items()} for name in BUILT_IN}
heavy = [name for name in ("torch", "transformers", "ray", "cv2") if name in sys.modules]
print(json.dumps({"seconds": time.perf_counter() - started, "heavy": heavy, "built": built}))
"""


def test_every_built_in_profile_builds_without_a_network_and_without_loading_what_is_heavy():
    # A process of its own, that can reach no hub: what other tests have imported would hide an import.
    found = subprocess.run(
        [sys.executable, "-c", BUILD_ALL],
        capture_output=True,
        text=True,
        check=True,
        env={"HF_ENDPOINT": "http://127.0.0.1:9", "PATH": "/usr/bin"},
        cwd=Path(__file__).parents[2],
    )
    said = json.loads(found.stdout.splitlines()[-1])
    assert set(said["built"]) == {"embedded", "hub", "server"} == set(BUILT_IN)
    assert all(set(versions) == set(KINDS) for versions in said["built"].values())
    assert said["heavy"] == []
    assert said["seconds"] < 1


def test_a_file_is_laid_over_a_built_in_profile_and_the_environment_over_both(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "translator: {kind: hub, weights: Helsinki-NLP/opus-mt-de-en}\n"
        "summariser: {kind: hub, weights: my/model, template: 'In short: {captions}'}\n"
    )
    made = providers(f"hub,{mine}", {"summariser": "{kind: embedded}"})
    hub = providers("hub")
    assert made["translator"].model == "Helsinki-NLP/opus-mt-de-en"
    assert made["summariser"].model == "embedded-merger"
    same = set(KINDS) - {"translator", "summariser"}
    assert {name: made[name].version for name in same} == {name: hub[name].version for name in same}


def test_the_hub_profile_has_the_papers_models_where_they_can_be_had():
    models = {name: provider.model for name, provider in providers("hub").items()}
    assert models["coarse_captioner"] == "Salesforce/blip2-opt-2.7b"
    assert models["summariser"] == "mrm8488/flan-t5-large-finetuned-openai-summarize_from_feedback"
    assert models["aesthetics"] == "openai/clip-vit-large-patch14+sa_0_4_vit_l_14_linear"
    assert models["frame_text_similarity"] == "openai/clip-vit-large-patch14"


@pytest.mark.parametrize(
    ("names", "overrides", "message"),
    [
        ("huh", {}, "there is no profile 'huh': it is one of embedded, hub, server, or a YAML file"),
        ("embedded", {"window": "{kind: hub}"}, "INTERNVID_PROVIDER_WINDOW: there is no provider window"),
        ("embedded", {"summariser": "{kind: huh}"}, "summariser has no kind 'huh'"),
        ("embedded", {"summariser": "{kind: hub}"}, "summariser, of kind hub, needs weights"),
        (
            "embedded",
            {"summariser": "{kind: hub, weights: a, template: b}"},
            r"summariser, of kind hub: template: .* must say by \{captions\} where the captions go",
        ),
        (
            "embedded",
            {"summariser": "{kind: hub, weights: a, tempo: 1}"},
            "summariser, of kind hub, has no tempo; it has .*template",
        ),
        ("embedded", {"summariser": "hub"}, "must hold a provider's name and its settings, with a kind"),
        ("embedded", {"summariser": "{"}, "INTERNVID_PROVIDER_SUMMARISER is not YAML"),
    ],
    ids=lambda value: next(iter(value.values()), "") if isinstance(value, dict) else None,
)
def test_what_cannot_be_is_refused_in_one_line_that_says_why(names, overrides, message):
    with pytest.raises(ValueError, match=message):
        providers(names, overrides)


def test_a_profile_of_a_few_providers_says_what_to_begin_with(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("summariser: {kind: embedded}")
    with pytest.raises(ValueError, match=f"sets no aesthetics.* begin with a built-in one: hub,{mine}"):
        profile(str(mine))
