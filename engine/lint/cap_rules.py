"""Findings about caps: those that stop nothing, that stop nothing alone, and that stop everything.

Cap b *settles* cap a when whatever a would stop, b stops too: then a never decides anything. It is so when

1. both are for one subscriber, or both in total; they count the same event; and b's window holds a's whole window at every instant;
2. for every candidate that a can stop, b can stop it too, and what a counts for it, b counts for it too, at least once each;
3. b's limit is at most a's.

For then b's count is at least a's, so it has reached its limit whenever a has; this holds after edits and with exempt traffic too, since both caps
pass over and count the same campaigns. Contacts are taken to have been made under this catalogue: of an offer that was in another category then,
the two counts may differ. An answer shows an offer at most once (a product is a group of its own, or in one), so a cap on each offer counts at most
one a decision, and one on all decisions counts that decision; a campaign or category can have several offers in one, so `all` does not settle them.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from engine.bound_rules import Candidate
from engine.catalogue.policy import Cap, Window
from engine.catalogue.terms import Scope, WindowKind
from engine.limits import MICROSECONDS_PER_DAY
from engine.lint.finding import Finding, Subject
from engine.lint.ranks import covers
from engine.rulebook import Rulebook

CAP_OF_NOTHING = "cap_of_nothing"
CAP_SETTLED = "cap_settled"
CAP_STOPS_ALL = "cap_stops_all"

_LONGEST_DAYS: Final = {WindowKind.DAY: 3, WindowKind.WEEK: 9, WindowKind.MONTH: 33}
"""No calendar window is longer, whatever the zone and its changes."""


def cap_findings(rulebook: Rulebook) -> Iterator[Finding]:
    """Yield what can be proved of each cap; of two that settle each other, the later by id is named."""
    caps = sorted(rulebook.catalogue.contact_policy.caps, key=lambda cap: cap.id)
    candidates = rulebook.candidates
    bound = {cap.id: [c for c in candidates if c.campaign.obeys_caps and covers(cap, c)] for cap in caps}
    left = list(caps)
    for cap in reversed(caps):
        subject = Subject("cap", cap.id)
        if not bound[cap.id]:
            left.remove(cap)
            yield _of_nothing(cap, subject, any(covers(cap, candidate) for candidate in candidates))
            continue
        settling = next((b for b in left if b is not cap and settles(b, cap, bound[cap.id], candidates)), None)
        if settling is not None:
            left.remove(cap)
            yield Finding(
                CAP_SETTLED,
                subject,
                f"cap {cap.id} never stops anything that {settling.id} does not stop",
                f"{settling.id} counts all that it counts, as long or longer, and allows {settling.limit}, not more than its {cap.limit}",
                f"take it out, or set its limit below {settling.limit}",
            )
        elif cap.limit == 0:
            made = sorted({candidate.offer.id for candidate in bound[cap.id]})
            shown = ", ".join(made[:5]) + (f" and {len(made) - 5} more" if len(made) > 5 else "")
            where = f" on {cap.target or 'any channel'}" if cap.scope == Scope.CHANNEL else ""
            yield Finding(
                CAP_STOPS_ALL,
                subject,
                f"cap {cap.id} stops every offer that it covers{where}: {shown}",
                "its limit is 0, which is reached before the first contact",
                "raise it, or pause the campaigns and take the cap out",
            )


def _of_nothing(cap: Cap, subject: Subject, exempt: bool) -> Finding:
    because = (
        "every campaign that it covers is exempt from caps" if exempt else "no campaign makes an offer that it covers"
    )
    return Finding(
        CAP_OF_NOTHING,
        subject,
        f"cap {cap.id} never stops anything",
        because,
        "mend its scope or target, or take it out",
    )


def settles(b: Cap, a: Cap, stopped: Sequence[Candidate], candidates: Sequence[Candidate]) -> bool:
    """Return whether b stops whatever a would stop; `stopped` are the candidates that a can stop, among all `candidates`."""
    return (
        (b.per, b.counts) == (a.per, a.counts)
        and b.limit <= a.limit
        and holds(b.window, a.window)
        and _counts_as_much(b, a, stopped, candidates)
    )


def holds(b: Window, a: Window) -> bool:
    """Return whether window b begins no later than window a at every instant, in every zone."""
    if b.kind == WindowKind.LIFETIME:
        return True
    if a.kind == WindowKind.LIFETIME:
        return False
    if b.kind == WindowKind.ROLLING:
        longest_us = _LONGEST_DAYS.get(a.kind, 0) * MICROSECONDS_PER_DAY
        return b.duration_us >= (a.duration_us if a.kind == WindowKind.ROLLING else longest_us)
    if a.kind == WindowKind.DAY:
        return True
    return a.kind == b.kind and a.week_start == b.week_start


def _counts_as_much(b: Cap, a: Cap, stopped: Sequence[Candidate], candidates: Sequence[Candidate]) -> bool:
    if a.scope == b.scope:
        return b.target in (None, a.target)
    if b.scope == Scope.ALL:
        return a.scope in (Scope.OFFER, Scope.CHANNEL)
    if (a.scope, b.scope) in ((Scope.OFFER, Scope.CATEGORY), (Scope.CAMPAIGN, Scope.CATEGORY)):
        if a.scope == Scope.CAMPAIGN and not _in_one_category(stopped, candidates):
            return False
        return all(b.target in (None, candidate.category) for candidate in stopped)
    if (a.scope, b.scope) == (Scope.OFFER, Scope.CAMPAIGN):
        return _in_one_campaign(stopped, candidates) and all(b.target in (None, c.campaign.id) for c in stopped)
    return False


def _in_one_campaign(stopped: Sequence[Candidate], candidates: Sequence[Candidate]) -> bool:
    offers = {candidate.offer.id for candidate in stopped}
    return len([c for c in candidates if c.offer.id in offers]) == len(offers)


def _in_one_category(stopped: Sequence[Candidate], candidates: Sequence[Candidate]) -> bool:
    campaigns = {candidate.campaign.id for candidate in stopped}
    pairs = {(c.campaign.id, c.category) for c in candidates if c.campaign.id in campaigns}
    return len(pairs) == len(campaigns)
