# SPDX-License-Identifier: Apache-2.0
"""functions.py - Python functions by name: 'module:function' is the program that a task names and a worker lists."""
from __future__ import annotations

import importlib
import os
import re
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Type, TypeVar, Union, overload

from .codecs import JSON, Codec

F = TypeVar("F", bound=Callable[..., Any])
NAME = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_MARK = "__skep_task__"


class Retry(Exception):
    """Raised by a function: this attempt failed for now, try again later, as long as the task has attempts left.

    Any other exception is an answer: the task is dead at once, and its caller gets the exception."""


@dataclass(frozen=True)
class TaskOptions:
    """What @task says of a function. `timeout`: seconds of one call, 0 is none, beside the task's own timeout."""

    name: Optional[str] = None
    codec: Codec = JSON
    timeout: float = 0.0
    retry_on: Tuple[Type[BaseException], ...] = ()


@overload
def task(function: F) -> F: ...


@overload
def task(*, name: Optional[str] = None, codec: Codec = JSON, timeout: float = 0.0,
         retry_on: Sequence[Type[BaseException]] = ()) -> Callable[[F], F]: ...


def task(function: Optional[F] = None, *, name: Optional[str] = None, codec: Codec = JSON, timeout: float = 0.0,
         retry_on: Sequence[Type[BaseException]] = ()) -> Union[F, Callable[[F], F]]:
    """Marks a function as work for the fleet: a worker that is given its module offers it. It stays a plain function.

    name: instead of 'module:function'. codec: JSON (default) or BYTES. timeout: seconds of one attempt; then its
    process is killed, and the attempt has failed. retry_on: exceptions after which it is tried again.
    """
    options = TaskOptions(name, codec, timeout, tuple(retry_on))

    def mark(marked: F) -> F:
        setattr(marked, _MARK, options)
        return marked

    return mark if function is None else mark(function)


def options_of(function: Callable[..., Any]) -> TaskOptions:
    found = getattr(function, _MARK, None)
    return found if isinstance(found, TaskOptions) else TaskOptions()


def name_of(function: Callable[..., Any]) -> str:
    """The program's name. ValueError for what a worker could not import: a lambda, a local function, a bound method.

    A function of the script that runs is of the module that the script's file is."""
    name: Optional[str] = options_of(function).name
    if name is None:
        module = getattr(function, "__module__", None)
        qualname = getattr(function, "__qualname__", "")
        if not module or not re.fullmatch(r"[A-Za-z_][\w.]*", qualname) or \
                getattr(function, "__self__", None) not in (None, sys.modules.get(module)):
            raise ValueError(f"{function!r} has no name that a worker could import: use a function of a module")
        name = f"{_module_of_script() if module == '__main__' else module}:{qualname}"
    if not NAME.fullmatch(name):
        raise ValueError(f"'{name}' can not be a program's name, which is 1-64 of a-z A-Z 0-9 . _ - :")
    return str(name)


def _module_of_script() -> str:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    path: Optional[str] = getattr(main, "__file__", None)
    if path is None:
        raise ValueError("a function that was typed in has no module that a worker could import: put it into a file")
    return os.path.splitext(os.path.basename(path))[0]


@dataclass(frozen=True)
class Function:
    """A function that a worker offers. `target` is 'module:function', where it is found; `name` what tasks call it."""

    name: str
    target: str
    options: TaskOptions
    call: Callable[..., Any]


def load(targets: Sequence[Union[str, Callable[..., Any]]]) -> Dict[str, Function]:
    """The functions that are meant by: a function, 'module:function', or 'module' for all that it marks with @task.

    ValueError with a sentence if there is none."""
    found: Dict[str, Function] = {}
    for target in targets:
        for function in [_function(target)] if callable(target) else _of_text(target):
            if found.get(function.name, function).target != function.target:
                raise ValueError(f"two functions are called '{function.name}'")
            found[function.name] = function
    if not found:
        raise ValueError("a worker needs at least one function")
    return found


def _function(call: Callable[..., Any], target: Optional[str] = None) -> Function:
    options = options_of(call)
    if target is None:
        target = name_of(call) if options.name is None else _plain_target(call)
    return Function(options.name or target, target, options, call)


def _plain_target(call: Callable[..., Any]) -> str:
    module = call.__module__ if call.__module__ != "__main__" else _module_of_script()
    return f"{module}:{call.__qualname__}"


def _of_text(text: str) -> List[Function]:
    module_name, _, qualname = text.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(f"the module '{module_name}' can not be imported: {error}") from error
    if qualname:
        return [_function(_attribute(module, qualname, text), text)]
    marked = [value for value in vars(module).values()
              if callable(value) and isinstance(getattr(value, _MARK, None), TaskOptions)
              and getattr(value, "__module__", None) == module.__name__]
    if not marked:
        raise ValueError(f"the module '{module_name}' marks no function with @skep.task: name one as "
                         f"{module_name}:FUNCTION")
    return [_function(value, f"{module.__name__}:{value.__qualname__}") for value in marked]


def _attribute(module: ModuleType, qualname: str, text: str) -> Callable[..., Any]:
    value: Any = module
    for part in qualname.split("."):
        value = getattr(value, part, None)
    if not callable(value):
        raise ValueError(f"there is no function '{text}'")
    called: Callable[..., Any] = value
    return called
