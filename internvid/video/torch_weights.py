"""Reads a file of torch's `save` as NumPy arrays without importing torch, which takes a second and 200 MB.

Nothing in the file can run: an unpickler looks names up in a table of four, as torch's `weights_only` does.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def read_torch_weights(path: Path) -> dict[str, np.ndarray]:
    """Returns tensor name -> array. Takes contiguous tensors of float32 and int64 alone; UnpicklingError for others."""
    with zipfile.ZipFile(path) as archive:
        (listing,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = listing.removesuffix("data.pkl")
        with archive.open(listing) as file:
            return dict(_Unpickler(file, lambda key: archive.read(f"{folder}data/{key}")).load())


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, read_storage: Callable[[str], bytes]) -> None:
        super().__init__(file)
        self._read_storage = read_storage
        self._names: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch", "FloatStorage"): np.dtype("<f4"),
            ("torch", "LongStorage"): np.dtype("<i8"),
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._names:
            raise pickle.UnpicklingError(f"the weights name {module}.{name}, which is not a part of a tensor")
        return self._names[module, name]

    def persistent_load(self, identity: Any) -> np.ndarray:
        _, kind, key, _, _ = identity  # "storage", type, file, device, number of elements
        return np.frombuffer(self._read_storage(key), kind)


def _tensor(storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> np.ndarray:
    size = int(np.prod(shape, dtype=np.int64))
    tensor = storage[offset : offset + size].reshape(shape)
    if tensor.size > 1 and tuple(step // storage.itemsize for step in tensor.strides) != tuple(strides):
        raise pickle.UnpicklingError(f"a tensor of shape {shape} has strides {strides}: it is not contiguous")
    return tensor
