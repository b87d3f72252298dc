"""Reads the tensors of a file by `torch.save` without torch, whose import takes two seconds and 250 MB.

Nothing in the file is run: besides numbers, texts and containers, its pickles may name ordered dictionaries, tensors
and their storages, as with torch's `weights_only`. There are two forms: an archive of files, and the one that torch
wrote before version 1.6, in which old weights are distributed.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

# (type of the numbers, key, their count) -> the flat array that tensors are views of
_Storage = Callable[[np.dtype, str, int], np.ndarray]


def tensors_of(path: Path) -> dict[str, np.ndarray]:
    """Returns the tensors of a state dict by name.

    Raises ValueError for a file in another form, UnpicklingError for one that names anything but tensors.
    """
    if zipfile.is_zipfile(path):
        return _from_archive(path)
    return _from_stream(path)


def _from_archive(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        listings = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(listings) != 1:
            raise ValueError(f"{path} is not an archive of tensors as torch writes them")
        folder = listings[0].removesuffix("data.pkl")
        with archive.open(listings[0]) as file:
            return dict(
                _Unpickler(
                    file, lambda dtype, key, size: np.frombuffer(archive.read(f"{folder}data/{key}"), dtype, size)
                ).load()
            )


def _from_stream(path: Path) -> dict[str, np.ndarray]:
    storages: dict[str, np.ndarray] = {}

    def empty(dtype: np.dtype, key: str, size: int) -> np.ndarray:
        return storages.setdefault(key, np.empty(size, dtype))

    with path.open("rb") as file:
        if _Unpickler(file, empty).load() != _MAGIC_NUMBER:
            raise ValueError(f"{path} is not a file of tensors as torch writes them")
        for _ in ("protocol", "machine"):
            _Unpickler(file, empty).load()
        state = _Unpickler(file, empty).load()
        for key in _Unpickler(file, empty).load():
            size = int.from_bytes(file.read(8), "little")
            storage = storages[key]
            if size != storage.size or file.readinto(storage.data.cast("B")) != storage.nbytes:
                raise ValueError(f"{path} is cut off, or is not what its header says")
    return dict(state)


class _Unpickler(pickle.Unpickler):
    """Reads a pickle. storage: returns a flat array that tensors are views of; it may be filled later."""

    def __init__(self, file: IO[bytes], storage: _Storage) -> None:
        super().__init__(file)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"a file of tensors may not name {module}.{name}")

    def persistent_load(self, reference: Any) -> np.ndarray:
        """Returns the storage of a tensor. reference: ("storage", type, key, device, size), in old files a view too."""
        _, dtype, key, _, size, *_ = reference
        return self._storage(dtype, key, size)


def _tensor(storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> np.ndarray:
    """The view of a storage that torch calls a tensor; torch counts strides in elements, NumPy in bytes."""
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if offset < 0 or last >= storage.size or any(stride < 0 for stride in strides) or any(size < 1 for size in shape):
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    steps = tuple(stride * storage.itemsize for stride in strides)
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps)
