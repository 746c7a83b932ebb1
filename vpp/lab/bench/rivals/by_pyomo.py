"""The whole instance as one Pyomo model: ``python -m vpp.lab.bench.rivals.by_pyomo INSTANCE.npz SOLVER LIMIT_S``.

The blocks of ``optimizer.exact.monolith``, read as arrays rather than through Pyomo's own interface to HiGHS, which
takes several times longer: Pyomo at its best.
"""

import sys
import time
from importlib.metadata import version
from pathlib import Path

from optimizer.exact.monolith import solve_monolith
from vpp.lab.bench import instance as instances
from vpp.lab.bench.rivals.report import finished


def main(path: str, solver: str, limit_s: float) -> None:
    """Solve the instance at ``path`` and report."""
    arrays = instances.read(Path(path))
    began = time.process_time()
    found = solve_monolith(instances.problem_of(arrays), deadline_s=limit_s, options={"solver": solver})
    finished(began, found.objective_cny, f"pyomo {version('pyomo')}: {found.status}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
