"""``python -m tests.fuzz``: a million inputs, seeded, on two cores."""

import argparse
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

from tests.fuzz.protocols import INPUTS, PROTOCOLS, part


def main() -> int:
    """Fuzz what is asked for and print a line a protocol; 1 where anything is not sound."""
    asked = _arguments()
    chosen = [name for name in PROTOCOLS if name in (asked.only or PROTOCOLS)]
    parts = [
        (name, max(round(asked.inputs * PROTOCOLS[name].SHARE / asked.jobs), 1), f"{asked.seed}.{part}")
        for name in sorted(chosen, key=lambda name: -PROTOCOLS[name].SHARE)
        for part in range(asked.jobs)
    ]
    sound = True
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.jobs, mp_context=context, max_tasks_per_child=1) as pool:
        for tally in pool.map(part, parts):
            sound = sound and tally.sound
            print(tally.line(), *tally.crashes, sep="\n    ", flush=True)  # noqa: T201 - a command's output
    return 0 if sound else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS, help="how many in all, dealt out by share")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--seed", default="1", help="another seed draws other inputs")
    parser.add_argument("--only", action="append", choices=list(PROTOCOLS), help="one protocol; may be repeated")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
