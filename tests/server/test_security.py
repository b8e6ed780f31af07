"""Tokens, scopes, and where the server may listen without them."""

from pathlib import Path

import pytest

from server.failure import Code, Failure
from server.gate import Gate
from server.security import SCOPE_OF_SERVICE, Principal, Tokens, check_exposure, is_local, new_token
from server.settings import Settings, SettingsError

DECISIONS, ADMIN = "touchpoint.v1.DecisionService", "touchpoint.v1.AdminService"


def tokens_file(folder: Path, name: str, digest: str, scopes: str) -> Path:
    file = folder / "tokens.toml"
    file.write_text(f'[[tokens]]\nname = "{name}"\nsha256 = "{digest}"\nscopes = [{scopes}]\n')
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("unix:/run/x", True),
        ("ipv4:127.0.0.1:5", True),
        ("ipv6:%5B::1%5D:5", True),
        ("ipv6:[::ffff:127.0.0.1]:5", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        (":1", False),
        ("example.org:1", False),
        ("ipv4:10.1.2.3:5", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_the_rest(address: str, local: bool) -> None:
    assert is_local(address) is local


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, ""),
        ({"listen": "0.0.0.0:1"}, "not loopback"),
        ({"listen": ":1"}, "not loopback"),
        ({"listen": "0.0.0.0:1", "insecure": True}, ""),
        ({"listen": "0.0.0.0:1", "tokens_file": "t"}, ""),
        ({"listen": "0.0.0.0:1", "tls_certificate_file": "c", "tls_key_file": "k"}, ""),
        ({"listen": "localhost:65535"}, ""),
        ({"listen": "127.0.0.1:65536"}, "listen: expected host:port with a port from 0 to 65535"),
        ({"listen": "127.0.0.1:"}, "listen: expected host:port"),
        ({"listen": "127.0.0.1"}, "listen: expected host:port"),
        ({"management_listen": ""}, ""),
        ({"management_listen": "127.0.0.1:99999"}, "management_listen: expected host:port"),
        ({"tls_certificate_file": "c"}, "both or neither"),
        ({"tls_key_file": "k"}, "both or neither"),
        ({"tls_client_ca_file": "a"}, "needs tls_certificate_file"),
    ],
)
def test_exposure_needs_protection_or_a_word(changes: dict[str, object], refused: str) -> None:
    settings = Settings(**changes)  # type: ignore[arg-type]
    if not refused:
        check_exposure(settings)
        return
    with pytest.raises(SettingsError, match=refused):
        check_exposure(settings)


def test_a_token_names_its_principal(tmp_path: Path) -> None:
    token, digest = new_token()
    tokens = Tokens.read(tokens_file(tmp_path, "crm-desk", digest, '"decide"'))
    assert tokens.principal(f"Bearer {token}") == Principal("crm-desk", ("decide",))
    assert tokens.principal(f"bearer {token}") == Principal("crm-desk", ("decide",))
    for wrong in ("", token, f"Basic {token}", f"Bearer {token}x", f"Bearer {digest}", "Bearer "):
        assert tokens.principal(wrong) is None


@pytest.mark.parametrize(
    ("digest", "scopes", "problem"),
    [("ab", '"decide"', "sha256"), ("a" * 64, '"everything"', "scopes"), ("A" * 64, '"decide"', "sha256")],
)
def test_a_wrong_file_of_tokens_is_refused(tmp_path: Path, digest: str, scopes: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        Tokens.read(tokens_file(tmp_path, "x", digest, scopes))


def test_a_file_of_tokens_that_others_can_write_is_refused(tmp_path: Path) -> None:
    file = tokens_file(tmp_path, "x", new_token()[1], '"decide"')
    file.chmod(0o666)
    with pytest.raises(SettingsError, match="others can write"):
        Tokens.read(file)


def test_an_empty_file_of_tokens_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("tokens = []\n")
    with pytest.raises(SettingsError, match="length"):
        Tokens.read(tmp_path / "t")


def test_without_tokens_only_admin_needs_loopback() -> None:
    gate = Gate(None)
    for service in SCOPE_OF_SERVICE:
        assert isinstance(gate.admit(service, (), "ipv4:127.0.0.1:5"), Principal)
    assert isinstance(gate.admit(DECISIONS, (), "ipv4:10.0.0.9:5"), Principal)
    refused = gate.admit(ADMIN, (), "ipv4:10.0.0.9:5")
    assert isinstance(refused, Failure)
    assert refused.code == Code.PERMISSION_DENIED


def test_with_tokens_scopes_decide_wherever_the_call_is_from(tmp_path: Path) -> None:
    token, digest = new_token()
    gate = Gate(Tokens.read(tokens_file(tmp_path, "desk", digest, '"decide"')))
    shown = (("user-agent", "x"), ("authorization", f"Bearer {token}"))
    assert gate.admit(DECISIONS, shown, "ipv4:10.0.0.9:5") == Principal("desk", ("decide",))
    for service, metadata, code in (
        (ADMIN, shown, Code.PERMISSION_DENIED),
        ("touchpoint.v1.SubscriberService", shown, Code.PERMISSION_DENIED),
        (DECISIONS, (), Code.UNAUTHENTICATED),
        (DECISIONS, (("authorization", "Bearer x"),), Code.UNAUTHENTICATED),
    ):
        refused = gate.admit(service, metadata, "ipv4:127.0.0.1:5")
        assert isinstance(refused, Failure)
        assert refused.code == code
        assert token not in refused.message
