"""How inner kernels are compiled: to unoptimised code that their callers take in whole, and to no machine code of their own.

Numba would optimise each, emit it, and optimise it once more with everything that it calls in each of its callers, level by level. So only
a kernel that Python calls is optimised, once, with all that it calls: a third of the time less to compile everything, for the same speed.
"""

from typing import Any

from numba.core import codegen, compiler

_JIT_LIBRARY: Any = codegen.JITCodeLibrary
_COMPILER: Any = compiler.CompilerBase
_PASSES: Any = compiler.DefaultPassBuilder


class _UnloadedCodegen:
    """The code generator of libraries that are not loaded, so that their environments have no address."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def set_env(self, _name: str, _environment: Any) -> None:
        """Do nothing: the environment's address is set where the code ends up (`set_environments`)."""


class InnerLibrary(_JIT_LIBRARY):  # type: ignore[misc]
    """Code for callers to link and inline; never optimised by itself nor loaded."""

    @property
    def codegen(self) -> Any:
        """Return the code generator, which leaves environments alone."""
        return _UnloadedCodegen(self._codegen)

    def _optimize_final_module(self) -> None:
        """Leave that to the callers."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, _name: str) -> int:
        """Return 0: there is nothing that Python could call."""
        return 0


class InnerCompiler(_COMPILER):  # type: ignore[misc]
    """Numba's usual passes, into an InnerLibrary."""

    def define_pipelines(self) -> list[Any]:
        """Return the passes, having put the library in place."""
        state = self.state
        state.library = InnerLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        return [_PASSES.define_nopython_pipeline(state)]


def set_environments(dispatcher: Any) -> None:
    """Give a compiled kernel's code the environments of the inner kernels in it; what comes from the cache has them."""
    for compiled in dispatcher.overloads.values():
        for environment in compiled._find_referenced_environments():
            compiled.library.codegen.set_env(environment.env_name, environment)
