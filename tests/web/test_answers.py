"""Tags, compression and links to the next page, as clients of HTTP meet them."""

import gzip

from tests.web.fakes import World
from tests.web.serving import Client

LIST = "/api/v1/devices?limit=2"


def test_what_is_asked_for_again_is_not_sent_again(client: Client) -> None:
    first = client.get(LIST)
    tag = first.headers["ETag"]
    assert first.status == 200 and tag.startswith('W/"')
    again = client.get(LIST, If_None_Match=tag)
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    assert client.get(LIST, If_None_Match='W/"0000000000000000"').status == 200
    assert client.get("/api/v1/devices?limit=3", If_None_Match=tag).status == 200


def test_the_next_page_is_a_header_too(client: Client) -> None:
    target, pages = LIST, 0
    while target:
        answer = client.get(target)
        following = answer.json["next"]
        assert answer.headers.get("Link") == (f'<{following}>; rel="next"' if following else None)
        target, pages = following, pages + 1
    assert pages > 2


def test_head_is_get_without_a_body(client: Client) -> None:
    told, whole = client("HEAD", LIST), client.get(LIST)
    assert (told.status, told.body) == (200, b"")
    assert told.headers["ETag"] == whole.headers["ETag"] and told.type == whole.type


def test_large_answers_are_compressed_where_that_is_wanted(client: Client, shown: World) -> None:
    for target in ("/api/v1/devices", "/", f"/devices/{next(iter(shown.devices)).hex()}"):
        plain, packed = client.get(target), client.get(target, Accept_Encoding="gzip")
        assert plain.headers["Content-Encoding"] is None and packed.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in ", ".join(packed.headers.get_all("Vary", []))
        assert len(packed.body) < len(plain.body)
        if target.startswith("/api/"):
            assert gzip.decompress(packed.body) == plain.body
    small = client.get("/api/v1/quarantines?limit=1", Accept_Encoding="gzip")
    assert small.headers["Content-Encoding"] is None
