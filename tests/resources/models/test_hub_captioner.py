"""The provider to captioners of `transformers`: what its settings do, and what it keeps."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_captioners import blip, qwen_2_5_vl

from orchestration.profiles import providers
from resources.models.hub_captioner import HubCaptioner

SHORT = {"max_new_tokens": 4}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models tiny-blip and tiny-qwen."""
    folder = tmp_path_factory.mktemp("models")
    blip(folder / "tiny-blip")
    qwen_2_5_vl(folder / "tiny-qwen")
    return folder


def frames(count: int) -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 48, 64, 3), np.uint8)
    encoded = [BytesIO() for _ in range(count)]
    for picture, file in zip(pixels, encoded, strict=True):
        Image.fromarray(picture).save(file, "JPEG")
    return [file.getvalue() for file in encoded]


def test_a_folder_and_settings_make_a_provider(models):
    settings = f"{{kind: hub, weights: {models / 'tiny-blip'}, prompt: a photo of, generation: {{max_new_tokens: 4}}}}"
    provider = providers(overrides={"coarse_captioner": settings})["coarse_captioner"]
    *captions, error = provider.caption([*frames(3), b"no picture"])
    assert [caption.output_tokens for caption in captions] == [4, 4, 4]
    assert isinstance(error, ValueError)
    assert (provider.model, provider.device_name, provider.readiness().state) == ("tiny-blip", "cpu", "ready")
    assert len(provider.revision) == 32
    assert (
        provider.version == f"tiny-blip@{provider.revision[:12]}+vision-language-1+max_new_tokens=4+prompt='a photo of'"
    )


def test_the_version_holds_what_decides_the_caption_and_nothing_else(models):
    weights = str(models / "tiny-blip")
    plain = HubCaptioner(weights=weights)
    same = [{"device": "cpu"}, {"frames_per_batch": 2}, {"frames_per_call": 8}, {"generation": {}}]
    other = [
        {"prompt": "a photo"},
        {"prompt": ""},
        {"generation": {"num_beams": 3}},
        {"generation": {"max_new_tokens": 3}},
        {"chat": {"enable_thinking": False}},
        {"frames_together": 8},
        {"dtype": "bfloat16"},
        {"weights": str(models / "tiny-qwen")},
    ]
    assert {HubCaptioner(**{"weights": weights} | settings).version for settings in same} == {plain.version}
    versions = {HubCaptioner(**{"weights": weights} | settings).version for settings in other}
    assert len(versions | {plain.version}) == len(other) + 1
    hub = HubCaptioner(weights="Salesforce/blip2-opt-2.7b", commit="59a1ef6c1e5117b3f65523d1c6066825bcf315e3")
    assert hub.version == "Salesforce/blip2-opt-2.7b@59a1ef6c1e5117b3f65523d1c6066825bcf315e3+vision-language-1"


def test_settings_that_cannot_be_are_refused():
    for settings in ("frames_per_batch: 0", "frames_together: 0", "dtype: int8", "promt: a photo", "generation: 32"):
        captioner = f"{{kind: hub, weights: Salesforce/blip2-opt-2.7b, {settings}}}"
        with pytest.raises(ValueError, match=settings.split(":")[0]):
            providers(overrides={"coarse_captioner": captioner})


def test_a_model_is_loaded_once_for_all_providers_and_again_when_its_folder_changed(tmp_path):
    folder = blip(tmp_path / "changing")
    before = HubCaptioner(weights=str(folder), generation=SHORT)
    beside = HubCaptioner(weights=str(folder), generation=SHORT, prompt="a photo")
    assert before._captioner.model is beside._captioner.model
    captions = before.caption(frames(2))

    captioned_by = before._captioner.model
    for weight in captioned_by.parameters():
        weight.data.mul_(-1)
    captioned_by.save_pretrained(folder)
    after = HubCaptioner(weights=str(folder), generation=SHORT)
    assert after.version != before.version
    assert after._captioner.model is not captioned_by
    assert after.caption(frames(2)) != captions


def test_a_long_clip_is_shown_in_frames_spread_over_it(models):
    provider = HubCaptioner(weights=str(models / "tiny-qwen"), generation=SHORT, prompt="a photo", frames_together=3)
    of_clip = frames(7)
    assert provider.caption_together(of_clip) == provider.caption_together([of_clip[at] for at in (0, 2, 5)])
    assert provider.caption_together(of_clip) != provider.caption_together(of_clip[:3])


def test_models_of_one_picture_caption_no_clip(models):
    with pytest.raises(ValueError, match="one picture at a time"):
        HubCaptioner(weights=str(models / "tiny-blip")).caption_together(frames(2))


def test_making_the_provider_loads_neither_torch_nor_transformers(models):
    program = (
        "import sys; from resources.models.hub_captioner import HubCaptioner;"
        f"print(HubCaptioner(weights={str(models / 'tiny-blip')!r}).version);"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
