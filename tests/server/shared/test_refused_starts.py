"""Servers, addresses and rights with which no ledger is opened: one line says why, and nothing was changed there."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import hiredis
import pytest

from server.shared.library import NAME
from tests.server.operator_fixture import Operator
from tests.server.shared.redis_servers import REDIS, free_port, keys_of, redis_server
from tests.server.shared.test_faults import refused
from tests.server.shared.test_ways import CERTIFICATES, RIGHTS


@pytest.mark.parametrize("right", RIGHTS.split(" ")[2:])
def test_a_user_without_one_of_the_rights(capped: Operator, binary: str, tmp_path: Path, right: str) -> None:
    file = tmp_path / "password"
    file.write_text("secret")
    with redis_server(tmp_path / "redis", binary) as redis:
        redis.command("ACL", "SETUSER", "touchpoint", *(each for each in RIGHTS.split(" ") if each != right))
        url = redis.url.replace("//", "//touchpoint@")
        told = refused(capped, ledger_redis=url, ledger_redis_password_file=str(file))
        assert "NOPERM" in told or "run" in told
        assert "secret" not in told
        assert not [key for key in keys_of(redis) if key.endswith((b"}", b":epoch", b":replicas"))]


@pytest.mark.parametrize(
    "url",
    [
        "redis://nowhere.invalid",
        "redis-sentinel://nowhere.invalid/main",
        "rediss-cluster://nowhere.invalid",
        f"redis://{'a' * 64}.example",
        "redis://a..b",
        "redis://.example",
    ],
)
def test_a_host_that_is_none(capped: Operator, url: str) -> None:
    assert "cannot be reached" in refused(capped, ledger_redis=url)


def test_a_server_of_another_kind(capped: Operator, binary: str, tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis", binary) as redis:
        for other, told in (
            (redis.url + "/99", "out of range"),
            (redis.url.replace("redis:", "redis-cluster:"), "cluster support disabled"),
            (redis.url.replace("redis:", "redis-sentinel:") + "/main", "unknown command"),
            (redis.url.replace("redis:", "rediss:"), "cannot be reached"),
        ):
            assert told in refused(capped, ledger_redis=other)
        redis.command("REPLICAOF", "127.0.0.1", str(free_port()))
        assert "is a replica" in refused(capped, ledger_redis=redis.url)
    with redis_server(tmp_path / "cluster", binary, cluster_enabled="yes") as redis:
        assert "CLUSTERDOWN" in refused(capped, ledger_redis=redis.url)
        assert "no slots yet" in refused(capped, ledger_redis=redis.url.replace("redis:", "redis-cluster:"))


def test_a_server_whose_certificate_is_nobodys(capped: Operator, tmp_path: Path) -> None:
    if not REDIS:
        pytest.skip("redis-server is not installed here; apt-get install redis-server")
    files = {"tls_cert_file": "server.pem", "tls_key_file": "server.key", "tls_ca_cert_file": "ca.pem"}
    options = {name: str(CERTIFICATES / file) for name, file in files.items()}
    port = str(free_port())
    with redis_server(tmp_path / "redis", REDIS, tls_port=port, tls_auth_clients="no", **options):
        url = f"rediss://localhost:{port}"
        assert "CERTIFICATE_VERIFY_FAILED" in refused(capped, ledger_redis=url)
        key = str(CERTIFICATES / "server.key")
        assert "cannot be used" in refused(capped, ledger_redis=url, ledger_redis_ca_file=key)
        assert "localhost" in refused(capped, ledger_redis=url.replace("rediss", "redis"))


@pytest.mark.parametrize("library", [NAME, "other"])
def test_functions_of_somebody_else(capped: Operator, binary: str, tmp_path: Path, library: str) -> None:
    code = f"#!lua name={library}\nredis.register_function('{NAME}_commit', function() return 1 end)"
    with redis_server(tmp_path / "redis", binary) as redis:
        redis.command("FUNCTION", "LOAD", code)
        before = redis.command("FUNCTION", "LIST", "WITHCODE")
        assert "nothing was changed" in refused(capped, ledger_redis=redis.url)
        assert (keys_of(redis), redis.command("FUNCTION", "LIST", "WITHCODE")) == ([], before)


def test_the_ledger_of_another_installation_gets_no_functions(capped: Operator, binary: str, tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis", binary) as redis:
        redis.command("HSET", "tp:{0}:about", "catalogue", "another")
        assert "another installation" in refused(capped, ledger_redis=redis.url)
        assert redis.command("HGETALL", "tp:{0}:about") == [b"catalogue", b"another"]
        assert redis.command("FUNCTION", "LIST") == []


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text)


ABOUT: Final = b"redis_version:%b\r\nrun_id:abc\r\nrole:master\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n"
STRANGE: Final[dict[str, tuple[Mapping[str, bytes], str]]] = {
    "an older Redis": ({"INFO": bulk(ABOUT % b"6.2.14")}, "is Redis 6.2.14; expected 7 or later"),
    "no Redis": ({"PING": b"HTTP/1.1 400 Bad Request\r\n\r\n"}, "Protocol error"),
    "nothing but OK": ({}, "too little"),
    "a number": ({"INFO": b":1\r\n"}, "too little"),
    "no text": ({"INFO": bulk(b"\xff\xfe:\xff")}, "too little"),
    "too many replies": ({"PING": b"*-1\r\n" * 3}, "expected 1 replies"),
}


@contextmanager
def answering(replies: Mapping[str, bytes]) -> Iterator[int]:
    """Answer commands by their names, others with OK; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def talk() -> None:
        with suppress(OSError):
            while True:
                inside, _ = listener.accept()
                reader = hiredis.Reader()
                with inside:
                    while data := inside.recv(1 << 16):
                        reader.feed(data)
                        while words := reader.gets():
                            inside.sendall(replies.get(words[0].decode(), b"+OK\r\n"))

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        talking.join()


@pytest.mark.parametrize("what", STRANGE)
def test_whatever_answers_there(capped: Operator, what: str) -> None:
    replies, told = STRANGE[what]
    with answering(replies) as port:
        assert told in refused(capped, ledger_redis=f"redis://127.0.0.1:{port}")
