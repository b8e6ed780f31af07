"""The wheel, as someone else gets it: what it holds, and that it runs away from this tree."""

import os
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = target.glob("*.whl")
    return built


def test_wheel_holds_what_runs_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "bench", "clients", "engine", "loaders", "server", "touchpoint",
    }  # fmt: skip
    assert not any("test" in Path(name).name for name in names)
    assert {
        "touchpoint/v1/decision_service.proto",
        "touchpoint/v1/decision_service_pb2.py",
        "loaders/demo/telco_customers.csv",
        "loaders/demo/PROVENANCE.md",
        "loaders/demo/mapping.yaml",
        "loaders/demo/catalogue/operator.yaml",
    } <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_runs_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv/bin/python"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            str(wheel),
        ],
        check=True,
    )
    # The dependencies are those that the tests run with: the wheel names them, and an index is not asked here.
    (found,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    others = [path for path in site.getsitepackages() if Path(path).is_dir()]
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    where = subprocess.run(
        [str(python), "-c", "import server; print(server.__file__)"],
        cwd=tmp_path,
        env=clean,
        check=True,
        capture_output=True,
        text=True,
    )
    assert where.stdout.startswith(str(found))
    done = subprocess.run(
        [str(tmp_path / "venv/bin/touchpoint"), "--help"],
        cwd=tmp_path,
        env=clean | {"PYTHONPATH": os.pathsep.join([str(found), *others])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "decide" in done.stdout
