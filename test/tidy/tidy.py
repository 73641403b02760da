#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tidy.py - holds the rules of the house that a compiler does not: `tidy.py [ROOT]`, exit 1 if one is broken.

The rules stand in rules_*.py beside this file, one function each; `tidy.py --list` names them.
"""

import os
import sys

import rules_code  # noqa: F401  (importing a file registers its rules)
import rules_docs  # noqa: F401
import rules_layers  # noqa: F401
import rules_size  # noqa: F401
from tree import RULES, Tree


def main(arguments: list[str]) -> int:
    if arguments == ["--list"]:
        print("\n".join(RULES))
        return 0
    root = arguments[0] if arguments else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    tree = Tree.of(root)
    findings = [(name, finding) for name, check in RULES.items() for finding in check(tree)]
    for name, finding in findings:
        print(f"{finding} [{name}]")
    print(f"tidy: {len(tree.files)} files, {len(RULES)} rules, {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
