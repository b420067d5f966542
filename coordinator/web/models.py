"""What the API answers with, as schemas: made from the views, with what shapes.py changes of them."""

from coordinator.kernel.earnings_views import EstimateView, LifetimeView, MonthView
from coordinator.kernel.epoch_views import DayView, PostedView, ReasonCount
from coordinator.kernel.operator_views import AppealView, CorrectionView, QuarantineView
from coordinator.kernel.stub_views import ChangeLine, PostingView, ShareLine, StubView
from coordinator.kernel.views import (
    DeviceView,
    EpochView,
    Explanation,
    NetworkView,
    NoticeView,
    OwnerMessageView,
    OwnerView,
    PayoutView,
    ProofView,
    ReadingView,
    Reason,
)
from coordinator.web.openapi import (
    COUNTS,
    FLAG,
    HASH,
    HEX,
    ID,
    INTEGER,
    TEXT,
    TOKENS,
    component,
    nullable,
    record,
    rows,
    view,
)
from coordinator.web.ports import BrokerAddress

STANDING = {"enum": ["vetting", "active", "quarantined", "revoked"]}

CHANNEL = component("Channel", record(name=TEXT, unit=TEXT, exponent=INTEGER))
NOTICE = component("Notice", view(NoticeView))
DEVICE = component(
    "Device",
    view(
        DeviceView,
        device=ID,
        owner=ID,
        public_key=HASH,
        standing=STANDING,
        channels=rows(CHANNEL),
        notices=rows(NOTICE),
    ),
)
PAYOUT = component("Payout", view(PayoutView, device=ID, owner=ID))
REASON = component("Reason", view(Reason))
NETWORK = component("Network", view(NetworkView, broker=view(BrokerAddress), http_refusals=COUNTS))
READING = component("Reading", view(ReadingView, scaled=rows(nullable(TEXT))))
EXPLANATION = component(
    "Explanation", view(Explanation, payout=nullable(PAYOUT), reasons=rows(REASON), device=ID, lines=rows(TEXT))
)
PROOF = component("Proof", view(ProofView, payout=PAYOUT, path=rows(HASH), log_path=rows(HASH)))
OWNER = component("Owner", view(OwnerView, account=ID, devices=rows(DEVICE), devices_total=INTEGER))
EPOCH_ROW = component("Epoch", view(EpochView))
DAY = component("Day", view(DayView, date=TEXT))
EPOCH_DETAIL = component(
    "EpochDetail",
    record(
        epoch=EPOCH_ROW,
        state={"enum": ["open", "closing", "closed"]},
        missing=INTEGER,
        reasons=rows(view(ReasonCount)),
        posted=rows(view(PostedView)),
        parameters=COUNTS,
    ),
)

QUARANTINE = component("Quarantine", view(QuarantineView, device=ID))
APPEAL = component("Appeal", view(AppealView, device=ID, account=ID))
CORRECTION = component("Correction", view(CorrectionView, "amount", device=ID, account=ID))

POSTING = component("Posting", view(PostingView, "amount"))
_links = {"page": TEXT, "statements": TEXT, "postings": TEXT, "explain": TEXT, "batch": TEXT, "header": TEXT}
LINKS = {
    **record(**_links, proof=TEXT),
    "required": ["page", "statements", "postings", "explain"],
}
STUB = component(
    "Stub",
    view(
        StubView,
        device=ID,
        owner=ID,
        payout=nullable(PAYOUT),
        shares=rows(view(ShareLine, "amount")),
        changes=rows(view(ChangeLine, "amount")),
        postings=rows(POSTING),
        explanation=EXPLANATION,
        lines=rows(TEXT),
        links=LINKS,
    ),
)

EARNING_DEVICE = component(
    "EarningDevice",
    record(
        device=ID,
        standing=STANDING,
        silent=FLAG,
        silent_beacons=INTEGER,
        payout=nullable(PAYOUT),
        why=nullable(REASON),
        lifetime_paid=INTEGER,
        withheld=INTEGER,
        provisional_so_far=INTEGER,
    ),
)
EARNINGS = component(
    "Earnings",
    record(
        account=ID,
        balance=INTEGER,
        balance_tokens=TOKENS,
        withheld=INTEGER,
        withheld_tokens=TOKENS,
        settled=INTEGER,
        settled_tokens=TOKENS,
        moved=INTEGER,
        moved_tokens=TOKENS,
        lifetime=view(LifetimeView),
        epoch=INTEGER,
        silent=INTEGER,
        unpaid=INTEGER,
        devices=rows(EARNING_DEVICE),
        devices_total=INTEGER,
        provisional=record(
            epochs=rows(view(EstimateView)),
            month=nullable(view(MonthView, "amount")),
        ),
    ),
)

_receipt = {"type": "string", "contentEncoding": "base64", "description": "the receipt sheet"}
SUBMITTED = component("Submitted", record(statement=HASH, verdict=TEXT, slot=INTEGER, receipt=_receipt, code=INTEGER))
# `id` is called `message` in the answer.
_said = view(OwnerMessageView, account=HEX)
_members = {name: schema for name, schema in _said["properties"].items() if name != "id"}
MESSAGE = component("OwnerMessage", record(message=HASH, **_members))
