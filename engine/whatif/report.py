"""What a scan found, as programs read it: `touchpoint whatif --json` prints a Report. Fields are added, never renamed."""

import msgspec


class CandidateCounts(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign's offer on one trigger and channel; all figures are subscribers."""

    campaign: str
    offer: str
    reach: int
    """It passed validity, consent and eligibility: those in control groups too."""
    stopped: dict[str, int]
    """By reason (engine.reasons), everybody for whom it was not offered."""
    control: int
    """Reached, and withheld by a control group."""
    would_be: int
    """Of those, whom it would have been offered."""
    first: int
    """It came first."""
    chosen: int
    """It was in the answer at any rank."""
    tied: int
    """The tie hash decided its place among equals."""
    tie_won: int
    """Of those: it had a seat, and an equal had none left."""
    tie_lost: int
    """Of those: an equal had a seat, and it had none left."""


class ThingCounts(msgspec.Struct, frozen=True, kw_only=True):
    """A campaign, or an offer, on one trigger and channel; each subscriber counts once, however many candidates it has."""

    id: str
    reach: int
    first: int
    chosen: int


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody, or one segment."""

    looked_at: int
    offered: int
    """Those whose answer held an offer."""
    reasons: dict[str, int]
    """Answers by reason."""
    campaigns: list[ThingCounts]
    offers: list[ThingCounts]
    candidates: list[CandidateCounts]
    """In rank order."""


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """Those of one value."""

    by: str
    value: str
    counts: Counts
    before: Counts | None
    """By the other rulebook."""
    first_changed: int | None
    """Subscribers whose first offer is another, or who have one where there was none, or none where there was one."""


class Taker(msgspec.Struct, frozen=True, kw_only=True):
    """Who had a seat before another."""

    campaign: str
    offer: str
    subscribers: int


class Starved(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that reaches somebody, and is chosen for nobody or for a small share."""

    campaign: str
    offer: str
    reach: int
    chosen: int
    stopped: dict[str, int]
    """What stopped it, by reason, of those whom it reached."""
    taken_by: list[Taker] | None
    """Who had the seats before it when none was left, or its exclusive group's place, the most frequent first; None: too many candidates to count."""


class CapReport(msgspec.Struct, frozen=True, kw_only=True):
    """A cap that candidates of the pair meet."""

    cap: str
    scope: str
    target: str
    """What it counts: an offer, campaign, category or channel; empty for all, and for the caps by subscriber of many targets."""
    per: str
    limit: int
    first: int | None
    """Totals: subscribers whose first offer counts toward it."""
    chosen: int | None
    """Totals: offers at any rank that count toward it, when every subscriber has the trigger once."""
    binds: bool
    """Totals: more offers would count than it allows. By subscriber: it stopped a candidate of somebody in these rounds."""
    stopped_in_round: list[int] | None
    """By subscriber: of how many the cap, at its limit, stopped a candidate, by round; None with one round, in which there is nothing to count."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """The n-th time that every subscriber has the trigger, everything offered before being held."""

    offered: int
    offers: int
    """Offers made, of all ranks."""
    stopped_by_cap: int
    """Subscribers of whom a cap stopped a candidate."""
    left_without_by_cap: int
    """Of those, who got no offer."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate (both ids), campaign or offer (the other id empty), before and after."""

    campaign: str
    offer: str
    reach_before: int
    reach_after: int
    newly_reached: int
    no_longer_reached: int
    first_before: int
    first_after: int
    chosen_before: int
    chosen_after: int


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """Subscribers whose first offer went from one to another; both ids empty: no offer."""

    campaign_before: str
    offer_before: str
    campaign_after: str
    offer_after: str
    subscribers: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The rulebook beside the one before."""

    before: Counts
    first_changed: int
    """Another first offer."""
    newly_offered: int
    no_longer_offered: int
    flows: list[Flow] | None
    """The largest, those that stay left out. None: not counted, there are too many candidates."""
    campaigns: list[Change]
    offers: list[Change]
    candidates: list[Change]


class PairReport(msgspec.Struct, frozen=True, kw_only=True):
    """One trigger on one channel."""

    trigger: str
    channel: str
    offers_max: int
    """Seats of an answer."""
    fields_missing: dict[str, tuple[str, ...]]
    """By campaign, the trigger's fields that its condition asks for and that were not given: they were unknown."""
    counts: Counts
    starved: list[Starved]
    caps: list[CapReport]
    rounds: list[Round] | None
    segments: list[Segment]
    against: Comparison | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole scan."""

    catalogue: str
    rulebook: str
    """Digest."""
    against: str | None
    """Digest of the rulebook before."""
    base: str
    at: str
    subscribers: int
    """In the base."""
    looked_at: int
    fields: dict[str, str]
    rounds: int
    starved_share: float
    decisions: int
    """Of all triggers, channels, rulebooks and rounds."""
    seconds: float
    processor_s: float
    """Processor time of the scan: what it takes when nothing else wants the core."""
    subscribers_per_s: float
    """Subscribers by trigger and channel, a second by the clock."""
    unreached: list[str]
    """Campaigns that have a candidate in a pair below, and reach nobody in any."""
    unchosen: list[str]
    """Offers that have a candidate in a pair below, and are chosen for nobody in any."""
    pairs: list[PairReport]
