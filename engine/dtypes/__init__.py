"""The layouts that kernels share with the rest of the engine: one module for each structure, its dtype, its NamedTuple and its Numba type."""
