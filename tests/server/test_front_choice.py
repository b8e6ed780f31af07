"""Which front serves, and why: what auto may take, what may be forced, and what is told."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from server import front_choice
from server.figures import Figures, FiguresCollector
from server.front_choice import TESTED_VERSIONS, choose_front, native_version
from server.load import Load
from server.settings import Settings, SettingsError

ROOT = Path(__file__).resolve().parents[2]
BEYOND = {"listen": "0.0.0.0:7717"}
TLS = {"tls_certificate_file": "c", "tls_key_file": "k"}


@pytest.mark.parametrize(
    ("changes", "front", "reason"),
    [
        ({}, "native", "loopback"),
        ({"listen": "unix:/run/touchpoint"}, "native", "Unix socket"),
        ({**BEYOND, "tokens_file": "t"}, "native", "tokens are checked before a message is read"),
        ({**BEYOND, "insecure": True}, "grpcio", "beyond loopback"),
        ({**BEYOND, "insecure": True, "network_trusted": True}, "native", "declared trusted"),
        (TLS, "grpcio", "TLS"),
        ({**BEYOND, **TLS, "tokens_file": "t", "network_trusted": True}, "grpcio", "TLS"),
        ({"front": "grpcio"}, "grpcio", "front is grpcio"),
        ({"front": "native"}, "native", "front is native"),
    ],
)
def test_the_front_is_chosen_by_who_can_reach_it(changes: dict[str, object], front: str, reason: str) -> None:
    choice = choose_front(Settings(**changes))  # type: ignore[arg-type]
    assert choice.front == front
    assert reason in choice.reason


@pytest.mark.parametrize(
    ("changes", "why"), [(TLS, "TLS is set"), ({**BEYOND, "insecure": True}, "beyond loopback: set tokens_file, or")]
)
def test_a_native_front_that_cannot_be_is_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        choose_front(Settings(front="native", **changes))  # type: ignore[arg-type]


def test_auto_takes_a_tested_version_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert native_version() in TESTED_VERSIONS
    monkeypatch.setattr(front_choice, "TESTED_VERSIONS", ("0.4.9",))
    choice = choose_front(Settings())
    assert choice.front == "grpcio"
    assert "not among the tested versions, 0.4.9" in choice.reason
    forced = choose_front(Settings(front="native"))
    assert forced.front == "native"
    assert "not among those tested" in forced.reason


WITHOUT = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pygrpc_native":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
import server.lifecycle
from server.front_choice import choose_front
from server.settings import Settings, SettingsError
print(*choose_front(Settings()))
try:
    choose_front(Settings(front="native"))
except SettingsError as error:
    print(error)
"""


def test_without_the_package_grpcio_serves_and_says_so() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    chosen, refused = done.stdout.splitlines()
    assert chosen.startswith("grpcio pygrpc-native is not installed: pip install")
    assert refused.startswith("front: native cannot serve here: pygrpc-native is not installed")


def test_the_choice_is_a_metric() -> None:
    registry = CollectorRegistry()
    registry.register(FiguresCollector(Figures(), dict, Load, choose_front(Settings())._asdict()))
    lines = generate_latest(registry).decode().splitlines()
    (line,) = [line for line in lines if line.startswith("touchpoint_front_info{")]
    assert 'front="native"' in line
    assert "loopback" in line
