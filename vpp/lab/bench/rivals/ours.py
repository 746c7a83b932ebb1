"""The instance by price decomposition: ``python -m vpp.lab.bench.rivals.ours INSTANCE.npz GAP_RATIO LIMIT_S``."""

import sys
import time
from pathlib import Path

from optimizer.decomposition.solve import decompose
from optimizer.decomposition.warmup import warm_up
from vpp.lab.bench import instance as instances
from vpp.lab.bench.rivals.report import finished


def main(path: str, gap_ratio: float, limit_s: float) -> None:
    """Solve the instance at ``path`` and report; compile time is apart."""
    arrays = instances.read(Path(path))
    warm_up()
    began = time.process_time()
    found = decompose(instances.problem_of(arrays), deadline_s=limit_s, gap_ratio=gap_ratio)
    finished(began, found.objective_cny, f"gap {100.0 * found.gap_ratio:.3f} %")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
