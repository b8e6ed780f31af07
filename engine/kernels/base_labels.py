"""One condition over the rows of a batch: how a loader's label expressions run on the tables that decisions use."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.condition import CONDITION_TABLES_TYPE, TRUE, ConditionTables
from engine.dtypes.view import VIEW_TYPE, View
from engine.jit import kernel, writable
from engine.kernels.condition import condition_result


@kernel(types.void(CONDITION_TABLES_TYPE, VIEW_TYPE, types.int64, writable(np.bool_)))
def condition_holds(tables: ConditionTables, view: View, condition: int, out: npt.NDArray[np.bool_]) -> None:
    """Set `out[i]` to whether the condition is true of row i; unknown and error are not."""
    for item in range(out.shape[0]):
        out[item] = condition_result(tables, view, item, condition) == TRUE
