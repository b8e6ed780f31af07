"""Keys: normal forms, bounds, and that no message holds a key or a secret."""

from pathlib import Path

import pytest

from engine.base.keys import SubscriberKeys, create_secret, read_secret
from loaders.msisdn import parse_number

SECRET = bytes(range(16))


def test_normalise_opaque_is_stripped_and_nfc() -> None:
    keys = SubscriberKeys(SECRET)
    assert keys.normalise("  A-1 ") == b"A-1"
    assert keys.normalise("e\u0301") == keys.normalise("\u00e9") == "\u00e9".encode()
    assert keys.hash_one("e\u0301 ") == keys.hash_one("\u00e9")
    for wrong in ("", "   ", "x" * 257, "\u00e9" * 129):
        with pytest.raises(ValueError, match="1 to 256 bytes"):
            keys.normalise(wrong)


def test_normalise_msisdn_forms_of_one_number_agree() -> None:
    keys = SubscriberKeys(SECRET, "msisdn", "US", parse_number)
    forms = ["+12125551234", "12125551234", "(212) 555-1234", "+1 212 555 1234", " +12125551234 "]
    assert {keys.normalise(form) for form in forms} == {b"12125551234"}
    assert len(set(keys.hash_many(forms).tolist())) == 1
    plain = SubscriberKeys(SECRET, "msisdn")
    for wrong in ("0212555123", "555-123", "+1" * 200, "abcdefgh", "", "١٢٣٤٥٦٧٨"):
        for some in (plain, keys):
            if some is keys and wrong == "0212555123":
                continue
            with pytest.raises(ValueError, match="expected a telephone number") as caught:
                some.normalise(wrong)
            assert not wrong or wrong not in str(caught.value)


def test_hash_depends_on_the_secret_and_the_check_does_not_show_it() -> None:
    one, other = SubscriberKeys(SECRET), SubscriberKeys(bytes(16))
    assert one.hash_one("a") != other.hash_one("a")
    assert one.check != other.check
    assert one.hash_many([]).tolist() == []
    assert one.hash_many(["a", "bc"]).tolist() == [one.hash_one("a"), one.hash_one("bc")]


def test_secret_file_is_private_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    secret = create_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_secret(path) == secret
    with pytest.raises(FileExistsError):
        create_secret(path)
    for wrong in ("", "ab", "z" * 32, "00" * 17):
        path.write_text(wrong)
        with pytest.raises(ValueError, match="32 hexadecimal digits") as caught:
            read_secret(path)
        assert len(wrong) < 3 or wrong not in str(caught.value)
