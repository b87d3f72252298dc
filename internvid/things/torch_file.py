"""Reads the tensors of a file by `torch.save` without torch, whose import takes two seconds and 250 MB.

Only the form that torch wrote before version 1.6 is read, in which old weights are distributed. Nothing in the file is
run: besides numbers, texts and containers, its pickles may name ordered dictionaries, tensors and their storages.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_DTYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}


def tensors_of(path: Path) -> dict[str, np.ndarray]:
    """Returns the tensors of a state dict by name.

    Raises ValueError for a file in another form, UnpicklingError for one that names anything but tensors.
    """
    storages: dict[str, np.ndarray] = {}
    with path.open("rb") as file:
        if _Unpickler(file, storages).load() != _MAGIC_NUMBER:
            raise ValueError(f"{path} is not a file of tensors as torch wrote them before version 1.6")
        for _ in ("protocol", "machine"):
            _Unpickler(file, storages).load()
        state = _Unpickler(file, storages).load()
        for key in _Unpickler(file, storages).load():
            size = int.from_bytes(file.read(8), "little")
            storage = storages[key]
            if size != storage.size or file.readinto(storage.data.cast("B")) != storage.nbytes:
                raise ValueError(f"{path} is cut off, or is not what its header says")
    return dict(state)


class _Unpickler(pickle.Unpickler):
    """Reads a pickle. storages: the flat arrays that tensors are views of, by key; filled while reading."""

    def __init__(self, file: IO[bytes], storages: dict[str, np.ndarray]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"a file of tensors may not name {module}.{name}")

    def persistent_load(self, reference: Any) -> np.ndarray:
        """Returns the storage that a tensor refers to: ("storage", type, key, device, size, view)."""
        _, dtype, key, _, size, _ = reference
        return self._storages.setdefault(key, np.empty(size, dtype))


def _tensor(storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> np.ndarray:
    """The view of a storage that torch calls a tensor; torch counts strides in elements, NumPy in bytes."""
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if offset < 0 or last >= storage.size or any(stride < 0 for stride in strides) or any(size < 1 for size in shape):
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    steps = tuple(stride * storage.itemsize for stride in strides)
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps)
