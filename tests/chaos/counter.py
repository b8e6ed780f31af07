"""What receivers got, counted by themselves: contacts, pushes, and the answers and outcomes that the server acknowledged."""

import threading
import time
from collections import deque
from typing import Any, Final

from tests.chaos.shop import CAMPAIGNS, CAPS, CATEGORIES, LIMITS, WINDOW_S, ZONE
from tests.simulation.caps_model import Contact, Span, broken_caps

CAMPAIGN_OF: Final = {offer: campaign for campaign, offers in CAMPAIGNS.items() for offer in offers}
KEPT: Final = 400
"""So many of the last answers and outcomes are asked for again after a restart."""


class Counter:
    """Shared by the threads of the load."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: dict[tuple[str, int], Contact] = {}
        self._stocked: list[Contact] = []
        self.violations: list[str] = []
        self.answered: deque[tuple[bytes, bytes]] = deque(maxlen=KEPT)
        """(request, answer) of those that made an offer."""
        self.recorded: deque[bytes] = deque(maxlen=KEPT)
        """Requests whose outcomes were acknowledged."""
        self._sent: dict[str, str] = {}
        self.answers = self.offers = self.outcomes = self.pushes = 0

    def got(self, subscriber: str, channel: str, request: bytes, answer: Any) -> None:
        """Count the first answer to a request."""
        with self._lock:
            self.answers += 1
            if not answer.offers:
                return
            self.answered.append((request, timeless(answer)))
            at_us = answer.decided_at.ToMicroseconds()
            for offer in answer.offers:
                self.offers += 1
                contact = Contact(
                    subscriber=subscriber,
                    zone=ZONE,
                    decision=answer.decision_id,
                    offer=offer.offer,
                    campaign=CAMPAIGN_OF[offer.offer],
                    category=CATEGORIES[offer.offer],
                    channel=channel,
                    granted_us=at_us,
                    limits=LIMITS,
                    events={"decided": Span(at_us, at_us)},
                )
                self._recent[answer.decision_id, offer.rank] = contact
                if offer.offer == "d":
                    self._stocked.append(contact)

    def sent(self, request_id: str, decision: str, at_us: int) -> None:
        """Count a push that went out."""
        with self._lock:
            self.pushes += 1
            if request_id in self._sent:
                self.violations.append(f"{request_id}: a push was sent for {self._sent[request_id]} and for {decision}")
            self._sent[request_id] = decision
            events = self._recent[decision, 1].events
            events["handed_off"] = events["seen"] = Span(at_us, at_us)

    def confirmed(self, decision: str, rank: int, at_us: int, request: bytes) -> None:
        """Count an outcome that was recorded, while its hold was open, for something seen at that instant."""
        with self._lock:
            self.outcomes += 1
            self.recorded.append(request)
            if (decision, rank) in self._recent:
                self._recent[decision, rank].events["seen"] = Span(at_us, at_us)

    def acknowledged(self, request: bytes) -> None:
        """Count an outcome of which it is not known whether its hold was open."""
        with self._lock:
            self.outcomes += 1
            self.recorded.append(request)

    def check_caps(self) -> None:
        """Note which caps were broken, and forget contacts that no window reaches any more."""
        with self._lock:
            recent, lasting = list(self._recent.values()), [cap for cap in CAPS if cap["window"] == "lifetime"]
            broken = broken_caps([cap for cap in CAPS if cap not in lasting], recent, ZONE)
            if len(self._stocked) > LIMITS["stock"]:
                broken += broken_caps(lasting, self._stocked, ZONE)
            self.violations += [str(each) for each in broken]
            old_us = time.time_ns() // 1_000 - 3 * WINDOW_S * 1_000_000
            self._recent = {key: contact for key, contact in self._recent.items() if contact.granted_us > old_us}

    @property
    def stocked(self) -> int:
        """Return how many offers of the limited stock were made."""
        return len(self._stocked)


def timeless(answer: Any) -> bytes:
    """Return the answer's bytes without the one field that may differ when it is repeated."""
    copied = type(answer)()
    copied.CopyFrom(answer)
    copied.server_us = 0
    return bytes(copied.SerializeToString(deterministic=True))
