"""Types of arrays that the pure mathematics and the service share."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
FloatTable = npt.NDArray[np.float32]
"""Many rows over many steps, in single precision: a city's would fill the memory otherwise."""
Powers = FloatTable | FloatArray
"""Powers of many rows over time, in either precision."""
