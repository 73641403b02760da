# SPDX-License-Identifier: Apache-2.0
"""codecs.py - how a function's arguments become a task's body, and its return value a result.

JSON   {"args": [...], "kwargs": {...}}, or {"each": [[...], ...]} for several calls in one task; the result is the return
       value, or the list of them. Tuples arrive as lists. Anything that speaks HTTP can call such a function.
BYTES  one argument and the return value are bytes as they are.
PICKLE Python objects. Whoever can enqueue a task can then run any code in the worker, and a worker in its caller: a
       worker takes it only if it was started to, and nobody should where clients or workers are strangers.
"""
from __future__ import annotations

import json
import pickle
from typing import Any, Dict, List, NamedTuple, Tuple, Union

Args = Tuple[Any, ...]
Kwargs = Dict[str, Any]


class Call(NamedTuple):
    """One call, or (each is not None) one for each tuple of arguments, made one after the other."""

    args: Args = ()
    kwargs: Kwargs = {}
    each: Union[List[Args], None] = None


class Codec:
    """Base of the three; ValueError or TypeError if something can not be encoded or decoded."""

    name = ""

    def dump_call(self, call: Call) -> bytes:
        raise NotImplementedError

    def load_call(self, body: bytes) -> Call:
        raise NotImplementedError

    def dump_result(self, value: Any) -> bytes:
        raise NotImplementedError

    def load_result(self, result: bytes) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"skep.{self.name.upper()}"


class _Json(Codec):
    name = "json"

    def dump_call(self, call: Call) -> bytes:
        obj: Dict[str, Any] = {"each": call.each} if call.each is not None else {"args": call.args}
        if call.kwargs:
            obj["kwargs"] = call.kwargs
        return json.dumps(obj, separators=(",", ":")).encode()

    def load_call(self, body: bytes) -> Call:
        obj = json.loads(body) if body.strip() else {}
        if not isinstance(obj, dict) or not set(obj) <= {"args", "kwargs", "each"} or {"args", "each"} <= set(obj):
            raise ValueError('the body of a call is {"args": [...], "kwargs": {...}}, or {"each": [[...], ...]}')
        args, kwargs, each = obj.get("args", []), obj.get("kwargs", {}), obj.get("each")
        if not isinstance(args, list) or not isinstance(kwargs, dict):
            raise ValueError("args is a list and kwargs an object")
        if each is None:
            return Call(tuple(args), kwargs)
        if not isinstance(each, list) or not all(isinstance(one, list) for one in each):
            raise ValueError("each is a list of lists of arguments")
        return Call((), kwargs, [tuple(one) for one in each])

    def dump_result(self, value: Any) -> bytes:
        return json.dumps(value, separators=(",", ":")).encode()

    def load_result(self, result: bytes) -> Any:
        return json.loads(result)


class _Bytes(Codec):
    name = "bytes"

    def dump_call(self, call: Call) -> bytes:
        if call.each is not None or call.kwargs or len(call.args) != 1:
            raise TypeError("a function of bytes takes one argument, one call a task")
        return self.dump_result(call.args[0])

    def load_call(self, body: bytes) -> Call:
        return Call((body,))

    def dump_result(self, value: Any) -> bytes:
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise TypeError(f"bytes are wanted, not {type(value).__name__}")
        return bytes(value)

    def load_result(self, result: bytes) -> bytes:
        return result


class _Pickle(Codec):
    name = "pickle"

    def dump_call(self, call: Call) -> bytes:
        return pickle.dumps(tuple(call), protocol=4)

    def load_call(self, body: bytes) -> Call:
        args, kwargs, each = pickle.loads(body)
        return Call(args, kwargs, each)

    def dump_result(self, value: Any) -> bytes:
        return pickle.dumps(value, protocol=4)

    def load_result(self, result: bytes) -> Any:
        return pickle.loads(result)


JSON: Codec = _Json()
BYTES: Codec = _Bytes()
PICKLE: Codec = _Pickle()
CODECS = {codec.name: codec for codec in (JSON, BYTES, PICKLE)}


def is_pickle(body: bytes) -> bool:
    """A pickle of protocol 2 or later begins so; JSON never does."""
    return body[:1] == b"\x80"
