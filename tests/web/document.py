"""A page as its parser sees it, and the addresses of the pages."""

from html.parser import HTMLParser

from coordinator.engine import places
from tests.web.fakes import World
from tests.web.serving import Answer

VOID = {"meta", "link", "input", "img", "br"}


class Document(HTMLParser):
    """What a page holds: amounts and numbers by their class, texts, tags; fails on tags that are not closed."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data: list[tuple[str, int, str]] = []
        self.open: list[str] = []
        self.collecting: list[str] | None = None
        self.texts: list[str] = []
        self.named: list[tuple[str, int]] = []  # amounts, and the term or head of the row that they stand under
        self.term = ""
        self.feed(answer.text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "data":
            self.collecting = []
        if tag in ("dt", "th", "h2"):
            self.term = ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "data" and self.collecting is not None:
            attrs = next(attrs for name, attrs in reversed(self.tags) if name == "data")
            self.data.append((attrs["class"] or "", int(attrs["value"] or ""), "".join(self.collecting)))
            if (attrs["class"] or "").startswith("amount"):
                self.named.append((self.term, int(attrs["value"] or "")))
            self.collecting = None

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if not self.term and set(self.open[-3:]) & {"dt", "th", "h2"}:
            self.term = data.strip()
        if self.collecting is not None:
            self.collecting.append(data)

    @property
    def amounts(self) -> list[int]:
        return [value for kind, value, _ in self.data if kind.startswith("amount")]

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


def targets(shown: World) -> list[str]:
    devices = [f"/devices/{device.hex()}" for device in shown.devices]
    explained = [f"{devices[0]}?epoch={number}" for number in range(shown.network.epoch + 1)]
    explained += [f"{device}/stubs/{number}" for device in devices[:3] for number in (2, shown.network.epoch)]
    explained += [f"{devices[0]}/stubs/2/statements", f"{devices[0]}/stubs/2/statements?boot=1&seq=40"]
    owners = [f"/owners/{each.account.hex()}" for each in shown.owners()]
    owners += [f"{owners[0]}/ledger", f"{owners[0]}/ledger?epoch=2"]
    wrong = ["/nothing", f"/devices/{'0' * 32}", "/devices/x", f"/owners/{'0' * 32}", f"{devices[0]}?epoch=99", "/?q=x"]
    return [
        "/",
        "/devices",
        "/epochs",
        *(f"/epochs/{number}" for number in range(shown.network.epoch + 1)),
        "/flash",
        "/uptime",
        "/uptime?show=missed&before=3",
        "/map",
        "/map?by=presence",
        *(f"/map/{places.text(places.cell_of(place))}" for place in set(shown.places.values()) - {0}),
        "/map/821f1ffffffffff",
        "/?live=1",
        "/devices?form=1&standing=active&owner=&measures=&silent_since=",
        *devices,
        *explained,
        *owners,
        *wrong,
    ]
