"""Settings: precedence, origins, and one report of every mistake."""

from pathlib import Path

import pytest

from server.settings import PREFIX, Settings, SettingsError, resolve


def test_flags_win_over_variables_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "touchpoint.toml"
    file.write_text('listen = "127.0.0.1:1"\nshard = "1/4"\nqueue_items_max = 10\n')
    environment = {"TOUCHPOINT_SHARD": "2/4", "TOUCHPOINT_QUEUE_ITEMS_MAX": "20"}
    found = resolve({"queue_items_max": 30, "base": None}, environment, file)
    assert (found.settings.listen, found.settings.shard, found.settings.queue_items_max) == ("127.0.0.1:1", "2/4", 30)
    assert found.origins["listen"] == str(file)
    assert found.origins["shard"] == "TOUCHPOINT_SHARD"
    assert found.origins["queue_items_max"] == "flag"
    assert found.origins["base"] == "default"


def test_the_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "touchpoint.toml"
    file.write_text("insecure = true\n")
    assert resolve({}, {"TOUCHPOINT_CONFIG": str(file)}).settings.insecure


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "touchpoint.toml"
    file.write_text('lisen = "x"\nshard = "one"\n')
    with pytest.raises(SettingsError) as caught:
        resolve({"receive_bytes_max": 1}, {"TOUCHPOINT_INSECURE": "perhaps", "TOUCHPOINT_LOG_STYLE": "xml"}, file)
    text = str(caught.value)
    assert len(text.splitlines()) == 5
    for part in ("lisen: no such setting; did you mean listen?", "shard", "receive_bytes_max", "INSECURE", "LOG_STYLE"):
        assert part in text


@pytest.mark.parametrize("content", ["listen = ", "a = 1\na = 2\n", "\x00"])
def test_a_file_that_is_no_toml_is_reported(tmp_path: Path, content: str) -> None:
    file = tmp_path / "touchpoint.toml"
    file.write_text(content)
    with pytest.raises(SettingsError, match="expected TOML"):
        resolve({}, {}, file)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: cannot be read"):
        resolve({}, {}, tmp_path / "nowhere.toml")


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("false", False), ("0", False)])
def test_variables_are_read_as_their_type(text: str, value: bool) -> None:
    assert resolve({}, {"TOUCHPOINT_INSECURE": text}).settings.insecure is value


def test_a_variable_that_nearly_names_a_setting_is_a_warning() -> None:
    found = resolve({}, {"TOUCHPOINT_LISTN": "x", "TOUCHPOINT_PORT": "tcp://10.0.0.1:7717", "TOUCHPOINT_TOKEN": "x"})
    assert [warning.partition(":")[0] for warning in found.warnings] == ["TOUCHPOINT_LISTN"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"workers": "2", "shard": "0/2"}, "workers: 2 with shard 0/2: expected one of them"),
        ({"ledger_redis": "redis://h", "shard": "1/2"}, "ledger_redis: expected neither shard nor workers"),
        ({"ledger_redis": "redis://h", "workers": "2"}, "ledger_redis: expected neither shard nor workers"),
    ],
)
def test_settings_that_do_not_go_together_are_said_once(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        resolve(given, {})
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_no_setting_is_named_like_a_secret() -> None:
    assert not [name for name in Settings.__struct_fields__ if name.endswith(("token", "secret", "password", "key"))]
    assert PREFIX == "TOUCHPOINT_"
