"""Writes a neural network as an ONNX file, in the few parts of the format that inference needs.

The format is protobuf: each field is a number, a wire type and a value. ONNX Runtime reads the bytes; the package
`onnx`, of 18 MB, is not needed. Field numbers are those of onnx.proto3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np

IR_VERSION, OPERATOR_SET = 9, 18
_ELEMENT_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}
_FLOAT, _INT, _INTS = 1, 2, 7  # types of attributes


class OnnxGraph:
    """A network that is added node by node. Values are named by text; a method returns the name of its result."""

    def __init__(self, input_name: str, input_shape: Sequence[int | str], input_type: str = "float32") -> None:
        """Starts a graph with one input. A dimension given as text may have any size."""
        self._parts: list[bytes] = []
        self._constants: set[str] = set()
        self._input = _value_info(input_name, input_shape, input_type)

    def constant(self, name: str, value: np.ndarray | np.generic) -> str:
        """Adds an array under a name; a name that is there already keeps its array."""
        if name not in self._constants:
            self._constants.add(name)
            array = np.ascontiguousarray(value)
            dimensions = b"".join(_number(1, size) for size in value.shape)
            kind = _number(2, _ELEMENT_TYPES[array.dtype.name])
            self._parts.append(_bytes(5, dimensions + kind + _text(8, name) + _bytes(9, array.tobytes())))
        return name

    def weight(self, values: np.ndarray) -> str:
        """Adds an array as float32, under a name of its own."""
        return self.constant(f"weight {len(self._parts)}", values.astype(np.float32))

    def node(
        self, operator: str, inputs: Sequence[str], output: str = "", **attributes: int | float | Sequence[int]
    ) -> str:
        """Adds a node with one result. output: its name, where it is asked for later; else one is made."""
        output = output or f"value {len(self._parts)}"
        self.nodes(operator, inputs, [output], **attributes)
        return output

    def nodes(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: int | float | Sequence[int]
    ) -> None:
        """Adds a node with several results."""
        body = b"".join(_text(1, name) for name in inputs) + b"".join(_text(2, name) for name in outputs)
        body += _text(4, operator)
        for name, value in attributes.items():
            if isinstance(value, int):
                content = _number(3, value) + _number(20, _INT)
            elif isinstance(value, float):
                content = _varint(2 << 3 | 5) + struct.pack("<f", value) + _number(20, _FLOAT)
            else:
                content = b"".join(_number(8, number) for number in value) + _number(20, _INTS)
            body += _bytes(5, _text(1, name) + content)
        self._parts.append(_bytes(1, body))

    def model(self, outputs: Sequence[str]) -> bytes:
        """The bytes of the file. outputs: names of the values that a run returns."""
        return b"".join(self.pieces(outputs))

    def pieces(self, outputs: Sequence[str]) -> Iterator[bytes]:
        """Yields the bytes of the file in pieces, so that writing them needs no second copy of large weights."""
        ending = _text(2, "network") + _bytes(11, self._input)
        ending += b"".join(_bytes(12, _value_info(name, None)) for name in outputs)
        length = sum(map(len, self._parts)) + len(ending)
        yield _number(1, IR_VERSION) + _varint(7 << 3 | 2) + _varint(length)
        yield from self._parts
        yield ending + _bytes(8, _text(1, "") + _number(2, OPERATOR_SET))


def _value_info(name: str, shape: Sequence[int | str] | None, element_type: str = "float32") -> bytes:
    tensor = _number(1, _ELEMENT_TYPES[element_type])
    if shape is not None:
        sizes = (_number(1, size) if isinstance(size, int) else _text(2, size) for size in shape)
        tensor += _bytes(2, b"".join(_bytes(1, size) for size in sizes))
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers as two's complement
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())
