"""What of a catalogue a ledger that replicas share cannot hold."""

from engine.catalogue.model import Catalogue
from engine.catalogue.terms import CapPer
from server.settings import SettingsError


def check_shareable(catalogue: Catalogue) -> None:
    """Raise SettingsError for a catalogue whose caps a shared ledger cannot hold."""
    for cap in catalogue.contact_policy.caps:
        if cap.per == CapPer.TOTAL:
            raise SettingsError(
                f"ledger_redis: cap {cap.id} counts over all subscribers (per: total), which the shared ledger does not do; "
                "take the cap out of the catalogue, or serve it from one server without ledger_redis"
            )
