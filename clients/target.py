"""Where a server is and how to call it: address, TLS, token, deadline, retries."""

import ipaddress
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # it ships none
from touchpoint.v1 import error_pb2

DEFAULT_ADDRESS: Final = "127.0.0.1:7717"
RECEIVE_BYTES_MAX: Final = 64 * 1024 * 1024
CONNECT_MS_MAX: Final = 5_000

# Safe to repeat: decisions and outcomes are idempotent by their ids.
_RETRIES: Final = json.dumps(
    {
        "methodConfig": [
            {
                "name": [
                    {"service": f"touchpoint.v1.{name}Service"}
                    for name in ("Decision", "Outcome", "Subscriber", "Admin")
                ],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                },
            }
        ]
    }
)


class CallError(Exception):
    """A call failed; the message is for a person: status, what was wrong, which fields."""

    def __init__(self, message: str, status: grpc.StatusCode | None = None) -> None:
        """`status`: with what the call ended; None where there was nobody to call."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Target:
    """A server as a client sees it."""

    address: str = DEFAULT_ADDRESS
    """host:port, unix:<path>, or several as ipv4:<host:port>,<host:port>; the next is tried when one goes away."""
    ca_file: Path | None = None
    """PEM authorities that vouch for the server; with it the connection is TLS."""
    token: str | None = None
    deadline_ms: int = 5_000

    def channel(self) -> grpc.Channel:
        """Return a new channel; raises CallError when a token would travel readable beyond this machine."""
        if not self.address:
            raise CallError(f"expected the address of a server, such as {DEFAULT_ADDRESS}, was nothing")
        options = [
            ("grpc.service_config", _RETRIES),
            ("grpc.max_receive_message_length", RECEIVE_BYTES_MAX),
            ("grpc.enable_http_proxy", 0),
            # A server that is back is found within a second, where the default grows to two minutes.
            ("grpc.initial_reconnect_backoff_ms", 100),
            # How long connecting may take, whatever its name says: over a slow link, TLS and all.
            ("grpc.min_reconnect_backoff_ms", CONNECT_MS_MAX),
            ("grpc.max_reconnect_backoff_ms", 1_000),
        ]
        if self.ca_file is not None:
            try:
                authorities = self.ca_file.read_bytes()
            except OSError as error:
                raise CallError(f"{self.ca_file}: the authorities' file cannot be read: {error.strerror}") from None
            return grpc.secure_channel(self.address, grpc.ssl_channel_credentials(authorities), options)
        if self.token is not None and not is_local(self.address):
            raise CallError(
                f"{self.address} is not on this machine and the connection has no TLS: give --ca-file, or the token could be read on its way"
            )
        if "," in self.address:
            # Of several addresses gRPC makes an authority that is none, which servers refuse.
            options.append(("grpc.default_authority", "touchpoint"))
        return grpc.insecure_channel(self.address, options)

    def metadata(self, subscriber: str | None = None) -> tuple[tuple[str, str], ...]:
        """Return the call's metadata: the token, and the routing hash of the subscriber."""
        pairs: list[tuple[str, str]] = []
        if self.token is not None:
            pairs.append(("authorization", f"Bearer {self.token}"))
        if subscriber is not None:
            pairs.append(("touchpoint-route", sha256(subscriber.encode()).hexdigest()[:4]))
        return tuple(pairs)

    @property
    def timeout_s(self) -> float:
        """The deadline in gRPC's unit."""
        return self.deadline_ms / 1000


def read_token(file: Path | None) -> str | None:
    """Return the token in `file`, else in TOUCHPOINT_TOKEN, else None; raises CallError for what is none, and a file that cannot be read or is empty."""
    if file is None:
        return _token("TOUCHPOINT_TOKEN", os.environ.get("TOUCHPOINT_TOKEN", "")) or None
    try:
        token = _token(str(file), file.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise CallError(f"{file}: the token's file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CallError(f"{file}: expected a token, was no text") from None
    if not token:
        raise CallError(f"{file}: expected one token and nothing else")
    return token


def _token(where: str, text: str) -> str:
    """Return a token that can be sent as metadata; raises CallError, which does not show it."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise CallError(f"{where}: expected one token of visible ASCII characters and nothing else")
    return text


def is_local(address: str) -> bool:
    """Tell whether an address stays on this machine."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def call_error(error: grpc.RpcError, address: str) -> CallError:
    """Return what a person should read about a failed call."""
    code, said = error.code(), error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE:
        return CallError(
            f"UNAVAILABLE: no answer from {address}: is a server running there? Start one with `make run`, or give --target ({said})",
            code,
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return CallError(
            f"DEADLINE_EXCEEDED: {address} did not answer in time: give a longer --deadline-ms, or look at the server's load",
            code,
        )
    more = [line for line in _violations(error) if line.strip() != said]
    return CallError("\n".join([f"{code.name}: {said}", *more]), code)


def other_shard(error: grpc.RpcError) -> error_pb2.OtherShard | None:
    """Return where a call is to be sent that was refused since another shard owns its subscriber; None for other failures."""
    told = error_details_pb2.ErrorInfo()
    for detail in _details(error):
        if detail.Unpack(told) and told.reason == "OTHER_SHARD" and told.domain == "touchpoint.v1":
            return error_pb2.OtherShard(**{name: int(told.metadata[name]) for name in ("owner", "shard", "of")})
    return None


def _violations(error: grpc.RpcError) -> Iterable[str]:
    bad = error_details_pb2.BadRequest()
    for detail in _details(error):
        if detail.Unpack(bad):
            yield from (f"  {violation.field}: {violation.description}" for violation in bad.field_violations)


def _details(error: grpc.RpcError) -> Iterable[Any]:
    for pair in error.trailing_metadata() or ():
        if pair.key == "grpc-status-details-bin":
            yield from status_pb2.Status.FromString(pair.value).details


def as_json(message: Message) -> str:
    """Return a message as one line of JSON, with the names of the .proto files and nothing left out that is set."""
    from google.protobuf.json_format import MessageToDict

    return json.dumps(MessageToDict(message, preserving_proto_field_name=True), ensure_ascii=False)
