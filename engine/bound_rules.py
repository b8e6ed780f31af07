"""A catalogue bound to a ledger's codes: the arrays that the decision kernels read. Runs once for each rulebook, never while deciding."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.breathing import array_of, breathe
from engine.catalogue.model import Campaign, Catalogue, Channel, Offer, Product
from engine.catalogue.policy import Cap
from engine.catalogue.terms import Basis, CampaignState, CapEvent, CapPer, ChannelKind, Factor, Scope, WindowKind
from engine.dtypes import rules as layout
from engine.dtypes.rules import Rules
from engine.jit import frozen
from engine.keys import stable_id
from engine.ledger.names import Kind, Names
from engine.limits import NEVER_US
from engine.policy.clock_tables import calendar_of, calendars, quiet_classes
from engine.shard import WHOLE, Shard

FOREVER_US: Final = (1 << 63) - 1
_MASK: Final = (1 << 64) - 1
_SCOPES: Final = {
    Scope.OFFER: layout.SCOPE_OFFER,
    Scope.CAMPAIGN: layout.SCOPE_CAMPAIGN,
    Scope.CATEGORY: layout.SCOPE_CATEGORY,
    Scope.CHANNEL: layout.SCOPE_CHANNEL,
    Scope.ALL: layout.SCOPE_ALL,
}
_EVENTS: Final = list(CapEvent)
_FACTORS: Final = (Factor.PROPENSITY, Factor.VALUE, Factor.LEVER, Factor.PRIORITY)
assert tuple(Factor) == _FACTORS
_KINDS: Final[dict[Scope, Kind]] = {
    Scope.OFFER: "offer",
    Scope.CAMPAIGN: "campaign",
    Scope.CATEGORY: "category",
    Scope.CHANNEL: "channel",
}


class Candidate:
    """One (campaign, offer) pair, as people name it; `Rules.candidates` has the same order."""

    __slots__ = ("campaign", "category", "group", "offer", "product", "score")

    def __init__(self, catalogue: Catalogue, campaign: Campaign, offer: Offer, product: Product) -> None:
        self.campaign = campaign
        self.offer = offer
        self.product = product
        self.category = product.category
        self.group = f"group {product.exclusive_group}" if product.exclusive_group else f"product {product.id}"
        self.score = score_of(catalogue, campaign, offer)


def mix64(x: int) -> int:
    """Return engine.kernels.mix.mix64 for Python integers."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def score_of(catalogue: Catalogue, campaign: Campaign, offer: Offer) -> float:
    """Return the candidate's score: the product of the catalogue's factors, in the order of Factor, in float64."""
    factors = (propensity_of(offer), offer.value, campaign.lever, float(offer.priority))
    score = 1.0
    for factor, value in zip(_FACTORS, factors, strict=True):
        score *= value if factor in catalogue.ranking.factors else 1.0
    return score


def propensity_of(offer: Offer) -> float:
    """Return the probability that the offer is accepted: the seam at which a model's column will stand; the catalogue's fixed figure today."""
    return offer.propensity


def candidates_of(catalogue: Catalogue) -> list[Candidate]:
    """Return the candidates, sorted by campaign id, then offer id."""
    offers = {offer.id: offer for offer in catalogue.offers}
    products = {product.id: product for product in catalogue.products}
    candidates = []
    for campaign in sorted(catalogue.campaigns, key=lambda c: c.id):
        for name in sorted(set(campaign.offers)):
            offer = offers[name]
            candidates.append(Candidate(catalogue, campaign, offer, products[offer.product]))
            breathe()
    return candidates


def share_threshold(share: float) -> tuple[int, bool]:
    """Return (floor(share * 2**64), whether everybody is in): the group is who hashes below the threshold."""
    return min(int(share * 2**64), _MASK), share >= 1.0


def uncoded(catalogue: Catalogue, names: Names) -> list[tuple[Kind, str]]:
    """Return what of the catalogue the ledger names and has no code for; with codes for these, binding only looks codes up."""
    offers = {offer.id: offer for offer in catalogue.offers}
    categories = {product.id: product.category for product in catalogue.products}
    named: dict[tuple[Kind, str], None] = {}
    for campaign in sorted(catalogue.campaigns, key=lambda c: c.id):
        for name in sorted(set(campaign.offers)):
            named["offer", name] = named["campaign", campaign.id] = None
            named["category", categories[offers[name].product]] = None
            breathe()
    named |= {("channel", name): None for name in sorted(channel.id for channel in catalogue.channels)}
    new = []
    for kind, name in named:
        if not names.has(kind, name):
            new.append((kind, name))
        breathe()
    return new


def bind_rules(
    catalogue: Catalogue,
    candidates: list[Candidate],
    names: Names,
    zones: Sequence[str],
    conditions: Sequence[int],
    *,
    shard: Shard = WHOLE,
) -> Rules:
    """Return the arrays; `conditions` has the number of each campaign's condition, in the order of campaign ids, -1 for none.

    Of a limit for all subscribers together the shard has its share: it counts its own subscribers alone.

    Gives codes to what has none yet, unless whoever owns the ledger did so before: always, where it goes on deciding meanwhile.
    """
    caps = _Caps(catalogue, names, shard)
    channels = sorted(catalogue.channels, key=lambda channel: channel.id)
    numbers = dict(zip(sorted(c.id for c in catalogue.campaigns), conditions, strict=True))
    breathe()
    return Rules(
        frozen(_settings(catalogue, zones)),
        frozen(_candidate_rows(catalogue, candidates, names, caps, numbers)),
        frozen(_channel_rows(catalogue, channels, names, caps)),
        frozen(caps.definitions()),
        frozen(array_of(caps.instances, layout.INSTANCE)),
        frozen(array_of(caps.entries, np.int32)),
        frozen(caps.instance_of()),
        frozen(_cool_downs(catalogue)),
    )


def _settings(catalogue: Catalogue, zones: Sequence[str]) -> npt.NDArray[Any]:
    threshold, everybody = share_threshold(catalogue.control.universal_share)
    rows = np.zeros(1, layout.SETTINGS)
    rows[0] = (
        stable_id("policy:" + catalogue.policy_version),
        stable_id(f"control:{catalogue.control.salt}:*"),
        threshold,
        everybody,
        catalogue.anonymous_offers,
        len(catalogue.channels),
        len(zones),
        list(zones).index(catalogue.country.home_zone),
        0,
    )
    return rows


def ranked(catalogue: Catalogue, candidates: list[Candidate]) -> list[npt.NDArray[np.int32]]:
    """Return the candidates of each pair in rank order: by trigger, then channel, both sorted by id."""
    channels = sorted(channel.id for channel in catalogue.channels)
    tiered = catalogue.ranking.priority_first
    ranks = []
    for number, candidate in enumerate(candidates):
        ranks.append((-candidate.offer.priority * tiered, -candidate.score, number))
        breathe()
    order = [number for _, _, number in sorted(ranks)]
    lists: dict[tuple[str, str], list[int]] = {}
    for number in order:
        campaign = candidates[number].campaign
        for channel in set(campaign.channels) & set(candidates[number].offer.content):
            for trigger in set(campaign.triggers):
                lists.setdefault((trigger, channel), []).append(number)
        breathe()
    keys = [(trigger, channel) for trigger in sorted(t.id for t in catalogue.triggers) for channel in channels]
    return [np.array(lists.get(key, []), np.int32) for key in keys]


class _Caps:
    """Cap definitions by id, their instances by target, and which instances each candidate and channel meets."""

    def __init__(self, catalogue: Catalogue, names: Names, shard: Shard) -> None:
        self.caps = sorted(catalogue.contact_policy.caps, key=lambda cap: cap.id)
        self.calendars = calendars(catalogue)
        self.instances: list[tuple[int, int, int, int]] = []
        self.entries: list[int] = []
        self.numbers: dict[tuple[int, str], int] = {}
        self.codes: dict[tuple[int, str], int] = {}
        self.names = names
        self.shard = shard

    def instance(self, cap_number: int, target: str) -> int | None:
        """Return the number of the cap's instance for this target, or None when the cap names another."""
        cap = self.caps[cap_number]
        if cap.target is not None and cap.scope != Scope.ALL and cap.target != target:
            return None
        key = (cap_number, target)
        if key not in self.numbers:
            code = 0 if cap.scope == Scope.ALL else self.names.code(_KINDS[cap.scope], target)
            slot = self.names.total_slot(_KINDS[cap.scope], code) if cap.per == CapPer.TOTAL else -1
            self.numbers[key] = len(self.instances)
            self.codes[key] = code
            limit = self.shard.share(cap.limit) if cap.per == CapPer.TOTAL else cap.limit
            self.instances.append((cap_number, limit, slot, code))
        return self.numbers[key]

    def add_entries(self, targets: dict[Scope, str]) -> tuple[int, int]:
        """Append the instances that these targets meet; return where they start and how many they are."""
        start = len(self.entries)
        for number, cap in enumerate(self.caps):
            if cap.scope in targets:
                instance = self.instance(number, targets[cap.scope])
                if instance is not None:
                    self.entries.append(instance)
        return start, len(self.entries) - start

    def definitions(self) -> npt.NDArray[Any]:
        """Return the CAP records."""
        return np.array([self._definition(cap) for cap in self.caps], layout.CAP)

    def _definition(self, cap: Cap) -> tuple[int, int, int, int, int, int]:
        kind, calendar = layout.ROLLING, -1
        if cap.window.kind == WindowKind.LIFETIME:
            kind = layout.LIFETIME
        elif cap.window.kind != WindowKind.ROLLING:
            kind = layout.CALENDAR
            calendar = self.calendars.index(calendar_of(cap.window.kind, cap.window.week_start))
        total = cap.per == CapPer.TOTAL
        return cap.window.duration_us, calendar, _SCOPES[cap.scope], _EVENTS.index(cap.counts), kind, total

    def instance_of(self) -> npt.NDArray[np.int32]:
        """Return (definitions, codes) int32: the instance for which a contact with that code counts, or -1."""
        width = 1 + self.names.codes_ahead + max((self.names.count(kind) for kind in _KINDS.values()), default=0)
        table = np.full((len(self.caps), width), -1, np.int32)
        for (cap, target), number in self.numbers.items():
            table[cap, self.codes[cap, target]] = number
            breathe()
        return table


def _candidate_rows(
    catalogue: Catalogue, candidates: list[Candidate], names: Names, caps: _Caps, conditions: dict[str, int]
) -> npt.NDArray[Any]:
    groups = {name: number for number, name in enumerate(sorted({c.group for c in candidates}))}
    breathe()
    purposes = {p.id: (n, p.basis) for n, p in enumerate(sorted(catalogue.contact_policy.purposes, key=lambda p: p.id))}
    salts = {campaign.id: _salts(catalogue, campaign) for campaign in catalogue.campaigns}
    rows = []
    for candidate in candidates:
        campaign, offer = candidate.campaign, candidate.offer
        start, count = caps.add_entries(
            {Scope.OFFER: offer.id, Scope.CAMPAIGN: campaign.id, Scope.CATEGORY: candidate.category}
        )
        threshold, everybody = share_threshold(campaign.control_share)
        purpose, basis = purposes[campaign.purpose]
        tie, control_salt = salts[campaign.id]
        row = {
            "tier": offer.priority if catalogue.ranking.priority_first else 0.0,
            "score": candidate.score,
            "campaign_from_us": _from(campaign.from_us),
            "campaign_until_us": _until(campaign.until_us),
            "offer_from_us": _from(offer.from_us),
            "offer_until_us": _until(offer.until_us),
            "tie": stable_id(offer.id) ^ tie,
            "control_salt": control_salt,
            "control_threshold": threshold,
            "condition": conditions[campaign.id],
            "group": groups[candidate.group],
            "cap_start": start,
            "cap_count": count,
            "offer": names.code("offer", offer.id),
            "campaign": names.code("campaign", campaign.id),
            "category": names.code("category", candidate.category),
            "purpose": purpose,
            "opt_in": basis == Basis.OPT_IN,
            "live": campaign.state == CampaignState.LIVE,
            "control_all": everybody,
            "obeys_caps": campaign.obeys_caps,
            "counts": campaign.counts,
            "anonymous": offer.anonymous,
        }
        rows.append(tuple(row.values()))
        breathe()
    assert not rows or tuple(row) == layout.CANDIDATE.names
    return array_of(rows, layout.CANDIDATE)


def _salts(catalogue: Catalogue, campaign: Campaign) -> tuple[int, int]:
    """Return what a campaign's part in ties is, and the salt of its control group."""
    breathe()
    return mix64(stable_id(campaign.id)), stable_id(f"control:{catalogue.control.salt}:{campaign.id}")


def _channel_rows(catalogue: Catalogue, channels: list[Channel], names: Names, caps: _Caps) -> npt.NDArray[Any]:
    classes = quiet_classes(catalogue)
    rows = np.zeros(len(channels), layout.CHANNEL)
    for row, channel in zip(rows, channels, strict=True):
        code = names.code("channel", channel.id)
        start, count = caps.add_entries({Scope.CHANNEL: channel.id, Scope.ALL: ""})
        silenced = channel.channel_class in classes and not channel.inbound_exempt
        row["hold_us"], row["queue_deadline_us"] = channel.hold_us, channel.queue_deadline_us
        row["max_offers"], row["code"] = channel.max_offers, code
        row["cap_start"], row["cap_count"] = start, count
        row["quiet_class"] = classes.index(channel.channel_class) if silenced else -1
        row["push"], row["defer"] = channel.kind == ChannelKind.PUSH, channel.defer_quiet_hours
    return rows


def _cool_downs(catalogue: Catalogue) -> npt.NDArray[Any]:
    rule, reoffer = catalogue.contact_policy.cool_down, catalogue.contact_policy.reoffer
    return np.array(
        [
            (rule.after_refusal_us, _SCOPES[rule.refusal_scope]),
            (rule.after_not_now_us, _SCOPES[rule.not_now_scope]),
            (reoffer.after_acceptance_us, _SCOPES[reoffer.scope]),
        ],
        layout.COOL_DOWN,
    )


def _from(from_us: int | None) -> int:
    return NEVER_US if from_us is None else from_us


def _until(until_us: int | None) -> int:
    return FOREVER_US if until_us is None else until_us
