# SPDX-License-Identifier: Apache-2.0
"""count_words.py - the words of many files, counted by a fleet that runs `python3 -m skep worker words`: FILE..."""
import concurrent.futures
import sys

import skep
import words


def main(paths: "list[str]") -> None:
    with skep.Executor() as fleet:
        futures = {fleet.submit(words.count, path): path for path in paths}
        for future in concurrent.futures.as_completed(futures):
            try:
                print(futures[future], *future.result())
            except OSError as error:  # raised in a worker
                print(futures[future], "can not be read:", error)


if __name__ == "__main__":
    main(sys.argv[1:])
