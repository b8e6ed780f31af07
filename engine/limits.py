"""Every bound of the engine in one place, with the relations between them asserted."""

from typing import Final

MICROSECONDS_PER_SECOND: Final = 1_000_000
MICROSECONDS_PER_DAY: Final = 86_400 * MICROSECONDS_PER_SECOND

OFFERS_PER_ANSWER_MAX: Final = 12
BATCH_ITEMS_MAX: Final = 4_096
LABELS_MAX: Final = 1_024
ATTRIBUTES_MAX: Final = 256
TRIGGER_FIELDS_MAX: Final = 128
CONSENT_PAIRS_MAX: Final = 64
"""Consent is a bit for each (purpose, channel): one 64-bit word holds all of a subscriber's grants, one all refusals."""

CAPS_MAX: Final = 64
CODES_MAX: Final = 65_535
"""Offers, campaigns, categories, channels that a ledger can have met: it records them as 16-bit codes."""

CONTACTS_PER_SUBSCRIBER_MAX: Final = 256
ZONES_MAX: Final = 256

SUBSCRIBER_KEY_BYTES_MAX: Final = 256
REQUEST_ID_BYTES_MAX: Final = 128
STRING_FIELD_BYTES_MAX: Final = 1_024
NEVER_US: Final = -(1 << 63)
"""The instant that stands for 'did not happen'; every real instant is later."""

assert OFFERS_PER_ANSWER_MAX <= CONTACTS_PER_SUBSCRIBER_MAX
