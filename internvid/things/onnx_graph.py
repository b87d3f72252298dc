"""Writes a network as ONNX, in memory: as much of the format as convolutional classifiers need.

ONNX is a protocol buffer (onnx.proto). A message is written field by field: the field's number and type, then a number
or a length and bytes. Writing it takes a page; the package `onnx` would be a dependency of 18 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

OPSET = 17
_FLOAT = 1  # TensorProto.DataType
_ATTRIBUTE_TYPES = {int: 2, list: 7}  # AttributeProto.AttributeType: INT, INTS


class Graph:
    """A network that grows by operations. Each returns the name of its output, the input of those after it."""

    def __init__(self, input_name: str) -> None:
        self._input_name = input_name
        self._nodes: list[bytes] = []
        self._weights: list[bytes] = []

    def weight(self, values: np.ndarray) -> str:
        """Adds constant numbers, as float32."""
        name = f"weight{len(self._weights)}"
        numbers = np.ascontiguousarray(values, np.float32)
        tensor = b"".join(_number(1, size) for size in numbers.shape)
        self._weights.append(tensor + _number(2, _FLOAT) + _text(8, name) + _bytes(9, numbers.tobytes()))
        return name

    def add(self, operation: str, inputs: Sequence[str], output: str = "", **attributes: int | list[int]) -> str:
        """Adds an operation of ONNX, by its name there. output: its name, where the network's caller reads it."""
        output = output or f"value{len(self._nodes)}"
        node = b"".join(_text(1, name) for name in inputs) + _text(2, output) + _text(4, operation)
        self._nodes.append(node + b"".join(_bytes(5, attribute) for attribute in _attributes(attributes)))
        return output

    def model(self, input_shape: Sequence[int | str], outputs: Mapping[str, Sequence[int | str]]) -> bytes:
        """Returns the network as a file of ONNX. A size that is a text may be any number."""
        graph = b"".join(_bytes(1, node) for node in self._nodes) + _text(2, "network")
        graph += b"".join(_bytes(5, tensor) for tensor in self._weights)
        graph += _bytes(11, _value(self._input_name, input_shape))
        graph += b"".join(_bytes(12, _value(name, shape)) for name, shape in outputs.items())
        return _number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, OPSET))  # 8: the format's version of 2021


def _attributes(attributes: Mapping[str, int | list[int]]) -> Iterable[bytes]:
    for name, value in attributes.items():
        numbers = _number(3, value) if isinstance(value, int) else b"".join(_number(8, number) for number in value)
        yield _text(1, name) + numbers + _number(20, _ATTRIBUTE_TYPES[type(value)])


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    sizes = (_text(2, size) if isinstance(size, str) else _number(1, size) for size in shape)
    tensor = _number(1, _FLOAT) + _bytes(2, b"".join(_bytes(1, size) for size in sizes))
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _number(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())
