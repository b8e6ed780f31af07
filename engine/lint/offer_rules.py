"""Findings about offers and campaigns as the catalogue has them: offers that nobody uses, texts that nobody sees, periods that never meet."""

from collections.abc import Iterator

from engine.catalogue.model import INT64_MAX, INT64_MIN, Campaign, Catalogue, Offer
from engine.lint.finding import Finding, Subject

UNUSED_OFFER = "unused_offer"
UNSEEN_CONTENT = "unseen_content"
PERIODS_APART = "periods_apart"

Period = tuple[int, int]


def offer_findings(catalogue: Catalogue) -> Iterator[Finding]:
    """Yield what can be proved of offers and of the periods of campaigns."""
    users: dict[str, list[Campaign]] = {offer.id: [] for offer in catalogue.offers}
    for campaign in catalogue.campaigns:
        for name in set(campaign.offers):
            users[name].append(campaign)
    for offer in catalogue.offers:
        if users[offer.id]:
            yield from _unseen(offer, users[offer.id])
            yield from _apart(offer, users[offer.id])
        else:
            yield Finding(
                UNUSED_OFFER,
                Subject("offer", offer.id),
                f"offer {offer.id} is never made",
                "no campaign has it",
                "add it to a campaign, or take it out",
            )


def period_of(campaign: Campaign, offer: Offer) -> Period:
    """Return [from, until) in microseconds in which both are valid; until is not above from when that is never."""
    starts = [start for start in (campaign.from_us, offer.from_us) if start is not None]
    ends = [end for end in (campaign.until_us, offer.until_us) if end is not None]
    return max(starts, default=INT64_MIN), min(ends, default=INT64_MAX)


def never_valid(campaign: Campaign, offer: Offer) -> bool:
    """Return whether the two have no instant in common."""
    start, end = period_of(campaign, offer)
    return end <= start


def _unseen(offer: Offer, campaigns: list[Campaign]) -> Iterator[Finding]:
    used = {channel for campaign in campaigns for channel in campaign.channels}
    for channel in sorted(set(offer.content) - used):
        yield Finding(
            UNSEEN_CONTENT,
            Subject("offer", offer.id, "content", channel),
            f"the content for {channel} is never shown",
            f"no campaign that makes {offer.id} uses {channel} ({', '.join(c.id for c in campaigns)})",
            "add the channel to a campaign, or take the content out",
        )


def _apart(offer: Offer, campaigns: list[Campaign]) -> Iterator[Finding]:
    for campaign in campaigns:
        if never_valid(campaign, offer):
            yield Finding(
                PERIODS_APART,
                Subject("campaign", campaign.id, "offers", offer.id),
                f"campaign {campaign.id} never makes {offer.id}",
                "the offer's period of validity and the campaign's have no instant in common",
                "mend one of the periods, or take the offer out of the campaign",
            )
