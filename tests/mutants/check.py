"""Run in a copy of the tree, one process a mutant: `python -m tests.mutants.check worlds`, or with paths of tests; kernels run uncompiled.

Ends with SURVIVED, CAUGHT (an assertion failed, or oracle and engine differ) or BROKEN (anything else, which shows nothing), after one line that says why.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

SURVIVED, CAUGHT, BROKEN = 0, 1, 2
SEEDS: Final = range(48)
DECISIONS: Final = 80
"""In each world."""


def main(check: list[str]) -> int:
    """Run the check and return what it shows."""
    import clients
    import engine
    import loaders
    import server

    for package in (clients, engine, loaders, server):
        assert Path(str(package.__file__)).is_relative_to(Path.cwd()), f"{package.__file__} is not of this copy"
    try:
        code, why = check_worlds() if check == ["worlds"] else check_tests(check)
    except AssertionError as error:
        code, why = CAUGHT, f"assertion: {error!r}"
    except Exception as error:
        code, why = BROKEN, repr(error)
    print(" ".join(why.split())[:300])
    return code


def check_worlds() -> tuple[int, str]:
    """Play generated worlds until oracle and engine differ."""
    from tests.worlds.agreement import check_seed

    for seed in SEEDS:
        difference = check_seed(seed, DECISIONS, Counter())
        if difference is not None:
            lines = difference.splitlines()
            return CAUGHT, f"seed {seed}: {lines[2] if len(lines) > 2 else difference}"
    return SURVIVED, f"{len(SEEDS)} worlds agree"


class Outcome:
    """A pytest plugin that keeps how the first test failed; Hypothesis does not shrink."""

    def __init__(self) -> None:
        self.found: tuple[int, str] = (SURVIVED, "all passed")

    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings

        settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate), database=None)
        settings.load_profile("mutants")

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.found = (BROKEN, f"{report.nodeid}: {report.longrepr}")

    def pytest_exception_interact(self, node: pytest.Item, call: pytest.CallInfo[Any]) -> None:
        assert call.excinfo is not None
        error = call.excinfo.value
        if self.found[0] == SURVIVED:
            failed = call.when == "call" and is_failure(error)
            self.found = (CAUGHT if failed else BROKEN, f"{node.nodeid}: {type(error).__name__}: {error}")


def is_failure(error: BaseException) -> bool:
    """Whether the error says that a test found something wrong; of several, that each does."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_failure(one) for one in error.exceptions)
    return isinstance(error, AssertionError | pytest.fail.Exception)


def check_tests(paths: list[str]) -> tuple[int, str]:
    """Run the tests until one fails; examples are drawn from a fixed seed."""
    outcome = Outcome()
    options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=1", "--no-header", "--no-summary"]
    code = pytest.main([*options, "-W", "ignore:overflow encountered:RuntimeWarning", *paths], plugins=[outcome])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return BROKEN, f"pytest ended with {code!r}"
    return outcome.found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
