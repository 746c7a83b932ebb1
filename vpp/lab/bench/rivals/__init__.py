"""Other tools on the same instances, in the same run: ``compare`` runs each in a process of its own."""

from vpp.lab.bench.rivals.comparison import RIVALS, compare

__all__ = ["RIVALS", "compare"]
