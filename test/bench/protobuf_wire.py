# SPDX-License-Identifier: Apache-2.0
"""protobuf_wire.py - fields of messages as protobuf encodes them, for what this folder sends without a schema's classes."""


def varint(value):
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def number(field, value):
    return bytes([field << 3]) + varint(value)


def content(field, value):
    """A field of bytes, text or a message."""
    return bytes([field << 3 | 2]) + varint(len(value)) + value
