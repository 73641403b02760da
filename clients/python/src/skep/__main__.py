# SPDX-License-Identifier: Apache-2.0
"""__main__.py - `python3 -m skep worker MODULE[:FUNCTION]...` offers functions, `python3 -m skep call` runs one."""
from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from typing import List, Optional

from ._child import ERROR_BYTES_MAX, run_call
from .errors import describe_exception
from .functions import load
from .version import __version__
from .worker import EXIT_INVALID, Worker


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python3 -m skep", description="skep, an elastic task queue, from Python")
    top.add_argument("--version", action="version", version=f"skep {__version__}")
    commands = top.add_subparsers(dest="command", required=True)
    worker = commands.add_parser("worker", help="run functions for the fleet")
    worker.add_argument("functions", nargs="+", metavar="MODULE[:FUNCTION]",
                        help="a function, or a module for all that it marks with @skep.task")
    worker.add_argument("--manager", metavar="URL", help="of the manager, or several with commas [SKEP_MANAGER]")
    worker.add_argument("--token-file", metavar="FILE", help="with a token of role worker [SKEP_TOKEN_FILE, SKEP_TOKEN]")
    worker.add_argument("--ca", metavar="FILE", help="authorities that https:// managers are trusted by [SKEP_CA]")
    worker.add_argument("--slots", type=int, metavar="N", help="functions at once [one for each processor]")
    worker.add_argument("--name", help="what people call it [the host's name]")
    worker.add_argument("--allow-pickle", action="store_true",
                        help="take pickled arguments: whoever can enqueue can then run any code here")
    worker.add_argument("--drain-timeout", type=float, default=20.0, metavar="SECONDS",
                        help="draining for longer: hand back what runs [20]")
    worker.add_argument("--orphan-timeout", type=float, default=600.0, metavar="SECONDS",
                        help="no manager answered for so long: exit [600]")
    worker.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    call = commands.add_parser("call", help="run one function: its call on standard input, its result on standard "
                               "output; so a function can be a --command of skep's own workers")
    call.add_argument("function", metavar="MODULE:FUNCTION")
    return top


def run_worker(options: argparse.Namespace) -> int:
    logging.basicConfig(level=options.log_level.upper(), stream=sys.stderr,
                        format="%(asctime)s %(levelname)s %(name)s %(message)s")
    worker = Worker(options.functions, options.manager, token_file=options.token_file, ca=options.ca,
                    slots=options.slots, name=options.name, allow_pickle=options.allow_pickle,
                    drain_timeout=options.drain_timeout, orphan_timeout=options.orphan_timeout)
    os.environ.pop("SKEP_TOKEN", None)  # it was read: functions, and what they start, need not see it
    return worker.run()


def run_one(target: str) -> int:
    (function,) = load([target]).values()
    # What the function prints must not mix with its result.
    out = os.dup(1)
    os.dup2(2, 1)
    try:
        result = run_call(function, sys.stdin.buffer.read(), False)
    except Exception as error:
        sys.stderr.write(describe_exception(error, traceback.format_exc(), ERROR_BYTES_MAX - 100))
        return 1
    with os.fdopen(out, "wb") as stream:
        stream.write(result)
    return 0


def main(arguments: Optional[List[str]] = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return run_worker(options) if options.command == "worker" else run_one(options.function)
    except (ValueError, OSError) as error:
        print(f"skep: {error}", file=sys.stderr)
        return EXIT_INVALID


if __name__ == "__main__":
    sys.exit(main())
