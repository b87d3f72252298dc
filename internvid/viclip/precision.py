"""The precision that models compute in. Plain data: the versions of vectors name it where no model is loaded."""

from __future__ import annotations

from typing import Literal

Precision = Literal["auto", "float32", "bfloat16"]


def precision_on(device_type: str, precision: Precision) -> Literal["float32", "bfloat16"]:
    """Returns the precision of a model on a device, cuda or cpu; "auto" is bfloat16 on a GPU, float32 on a CPU.

    Few CPUs are faster in bfloat16. GPUs before NVIDIA's Ampere have to be configured to float32.
    """
    if precision == "auto":
        return "bfloat16" if device_type == "cuda" else "float32"
    return precision
