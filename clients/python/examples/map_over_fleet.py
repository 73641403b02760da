# SPDX-License-Identifier: Apache-2.0
"""map_over_fleet.py - counts primes, on all machines where `python3 -m skep worker map_over_fleet:count_primes` runs."""
import skep


def count_primes(start):
    return sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(max(start, 2), start + 1000))


if __name__ == "__main__":
    with skep.Executor() as fleet:
        print(sum(fleet.map(count_primes, range(0, 20_000, 1000))), "primes below 20,000")
