"""Result line of a rival's process, read by its parent. Standard library only."""

import json
import resource
import sys
import time


def finished(began_cpu_s: float, objective_cny: float, note: str) -> None:
    """Print the result.

    Args:
        began_cpu_s: Reading of ``time.process_time`` after the imports and the instance were there.
        objective_cny: Cost found, NaN if none.
        note: Status and version, for the table.
    """
    used = {
        "cpu_s": time.process_time() - began_cpu_s,
        "objective_cny": objective_cny,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
        "note": note,
    }
    sys.stdout.write(json.dumps(used) + "\n")
