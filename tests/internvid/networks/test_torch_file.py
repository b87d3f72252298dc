"""Files of tensors, read without torch: the same numbers, and nothing in them runs."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from internvid.networks.torch_file import tensors_of
from internvid.things.classifier import weights_file as weights_of_the_classifier
from internvid.video.cut_network import weights_file as weights_of_the_cuts

IN_BOTH_FORMS = pytest.mark.parametrize("legacy", [True, False], ids=["before 1.6", "since 1.6"])


@pytest.mark.parametrize("weights_file", [weights_of_the_classifier, weights_of_the_cuts])
def test_the_weights_of_a_package_are_those_that_torch_reads(weights_file):
    ours = tensors_of(weights_file())
    theirs = torch.load(weights_file(), weights_only=True)
    assert list(ours) == list(theirs)
    assert all(np.array_equal(ours[name], tensor.numpy()) for name, tensor in theirs.items())


@IN_BOTH_FORMS
def test_views_of_one_storage_are_read_in_their_order(tmp_path, legacy):
    whole = torch.arange(24.0).reshape(4, 6)
    state = {"whole": whole, "turned": whole.T, "part": whole[1:3, 2:], "counts": torch.arange(3)}
    torch.save(state, tmp_path / "views.pth", _use_new_zipfile_serialization=not legacy)
    ours = tensors_of(tmp_path / "views.pth")
    assert all(np.array_equal(ours[name], tensor.numpy()) for name, tensor in state.items())


@IN_BOTH_FORMS
def test_a_file_of_weights_runs_nothing(tmp_path, legacy):
    class Harmful:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    torch.save({"weight": Harmful()}, tmp_path / "harmful.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(pickle.UnpicklingError, match="may not name"):
        tensors_of(tmp_path / "harmful.pth")
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_cut_off_or_something_else_is_refused(tmp_path):
    torch.save({"weight": torch.arange(1000.0)}, tmp_path / "whole.pth", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "whole.pth").read_bytes()
    assert tensors_of(tmp_path / "whole.pth")["weight"].sum() == 499_500
    (tmp_path / "cut.pth").write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="cut off"):
        tensors_of(tmp_path / "cut.pth")
    (tmp_path / "other.pth").write_bytes(pickle.dumps(7))
    with pytest.raises(ValueError, match="not a file of tensors"):
        tensors_of(tmp_path / "other.pth")
