"""Addresses, tokens and what a person reads when a call fails."""

from pathlib import Path

import pytest

from clients.commands.connection import connection_options
from clients.decisions import DecisionClient, Question
from clients.demo.play import CUSTOMER
from clients.target import DEFAULT_ADDRESS, CallError, Target, is_local, read_token
from server.settings import Settings
from tests.faults.proxy import running_proxy


def test_default_address_is_where_the_server_listens() -> None:
    assert Settings().listen == DEFAULT_ADDRESS
    command = connection_options(lambda **_: None)
    (target,) = (option for option in getattr(command, "__click_params__") if option.name == "target")  # noqa: B009  # set by click
    assert target.default == DEFAULT_ADDRESS


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/run/t.sock", "127.8.9.1:5"])
def test_local_addresses(address: str) -> None:
    assert is_local(address)


@pytest.mark.parametrize("address", ["10.0.0.1:1", "example.com:1", "localhost.example.com:1", "[::2]:1"])
def test_addresses_elsewhere(address: str) -> None:
    assert not is_local(address)


def test_token_is_not_sent_readable_beyond_this_machine() -> None:
    with pytest.raises(CallError, match="no TLS"):
        Target("192.0.2.1:7717", token="secret").channel()


def test_token_from_a_file_wins_over_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHPOINT_TOKEN", "from-variable")
    (tmp_path / "token").write_text("from-file\n")
    assert read_token(tmp_path / "token") == "from-file"
    assert read_token(None) == "from-variable"
    monkeypatch.delenv("TOUCHPOINT_TOKEN")
    assert read_token(None) is None


@pytest.mark.parametrize("content", ["", "two words", "a\nb"])
def test_token_file_that_holds_something_else(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(CallError, match="expected one token"):
        read_token(tmp_path / "token")


def test_nobody_there_is_said_with_what_to_do() -> None:
    with (
        DecisionClient(Target("127.0.0.1:1", deadline_ms=3_000)) as client,
        pytest.raises(CallError, match="is a server running there"),
    ):
        client.decide(Question("a", "b", "c"))


def test_a_link_that_takes_a_second_is_slow_and_not_dead(demo_address: str) -> None:
    host, port = demo_address.rsplit(":", 1)
    with running_proxy(host, int(port)) as proxy:
        proxy.to_server.delay_s = proxy.to_client.delay_s = 0.5
        with DecisionClient(Target(f"127.0.0.1:{proxy.port}", deadline_ms=4_500)) as client:
            try:
                assert client.decide(Question(CUSTOMER, "desk_open", "desk", dry_run=True)).offers
            except CallError as error:
                pytest.fail(f"it is not dead: {error}")


def test_routing_hash_is_that_of_the_contract() -> None:
    assert dict(Target(token="t").metadata("+13125550107"))["touchpoint-route"] == "7441"


@pytest.mark.parametrize("token", ["tok\u00e9n", "a b", "a\nb", "\x7f"])
def test_a_token_that_cannot_be_sent_is_said_and_not_shown(
    token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(token, encoding="utf-8")
    monkeypatch.setenv("TOUCHPOINT_TOKEN", token)
    for file in (tmp_path / "token", None):
        with pytest.raises(CallError, match="expected one token of visible ASCII") as caught:
            read_token(file)
        assert token not in str(caught.value)


def test_an_address_that_is_empty_is_said() -> None:
    with pytest.raises(CallError, match="expected the address of a server"):
        Target("").channel()
