"""Telephone numbers in any notation become E.164 digits; serving needs it too, and nothing else of the loaders."""

import phonenumbers


def parse_number(text: str, region: str) -> str:
    """Return a telephone number's E.164 digits without the plus; raises ValueError, which does not hold the number."""
    try:
        number = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number) or number.extension:
        raise ValueError("expected a telephone number, was something else")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
