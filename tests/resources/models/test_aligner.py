"""The active checkpoint as a resource: what it must not give."""

import numpy as np
import pytest

from resources.incremental.faults import ModelUnavailable
from resources.models.aligner import ActiveCheckpoint, Aligner, require_telling_apart

ACTIVE = ActiveCheckpoint("a model", "checkpoints/a model", "0123")
SAME = np.full((8, 4), 0.5, np.float32)


def test_one_vector_for_many_inputs_that_differ_is_the_checkpoints_fault():
    with pytest.raises(ModelUnavailable, match=r"a model gives the same vector to 8 inputs that differ.*activate"):
        require_telling_apart(ACTIVE, SAME, range(8))


def test_a_number_that_is_not_finite_is_the_checkpoints_fault():
    vectors = np.eye(4, dtype=np.float32)
    vectors[2, 1] = np.nan
    with pytest.raises(ModelUnavailable, match="not finite"):
        require_telling_apart(ACTIVE, vectors, range(4))


def test_equal_inputs_may_have_one_vector():
    require_telling_apart(ACTIVE, SAME, ["a black picture"] * 8)
    require_telling_apart(ACTIVE, SAME[:2], ["a", "a."])
    require_telling_apart(ACTIVE, np.eye(8, 4, dtype=np.float32), range(8))


def test_inputs_are_asked_for_only_where_all_vectors_are_equal():
    def inputs():
        yield from range(8)
        raise AssertionError("they are read from the lake again")

    require_telling_apart(ACTIVE, np.eye(8, 4, dtype=np.float32), inputs())
    require_telling_apart(ACTIVE, SAME[:2], inputs())
    with pytest.raises(AssertionError, match="read from the lake"):
        require_telling_apart(ACTIVE, SAME, inputs())


def test_a_version_names_the_precision_wherever_it_is_not_float32():
    versions = [Aligner(device="cpu", precision=precision).version(ACTIVE) for precision in ("auto", "bfloat16")]
    assert versions == ["a model+0123+middle-frames", "a model+0123+middle-frames+bfloat16"]
    assert Aligner(device="cpu").precision_suffix == ""
