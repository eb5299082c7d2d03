"""Hundreds of malformed and hostile requests: each is answered, in our form, none with a 5xx or with what it held."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from tests.serving.conftest import sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.serving.conftest import Service

EACH = 60
"""Requests that are drawn for each page of our own description."""

SENT = "whom nobody may see"

HOSTILE_IDS = (
    *(
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "u03' or '1'='1",
        "u03;select pg_sleep(9)",
        "%00",
        "a%00b",
        "\u202eu03",
    ),
    *(
        "{{7*7}}",
        "${jndi:ldap://127.0.0.1/a}",
        "<script>alert(1)</script>",
        "=cmd|' /C calc'!A0",
        "\ud83d\ude00",
        "%ff%fe",
    ),
    *(
        "x" * 256,
        "x" * 257,
        "x" * 9000,
        " ",
        "u03 ",
        " u03",
        "u03/",
        "/u03",
        "u03?x=1",
        "u03#x",
        "u\n03",
        "U03",
        "None",
        "null",
    ),
)
HOSTILE_BODIES = (
    *(b"", b"null", b"0", b'""', b"[]", b"{}", b"[" * 100_000, b'{"a":' * 50_000, b"\x00", b"\xef\xbb\xbf{}", b"NaN"),
    *(b'{"users": null}', b'{"users": {}}', b'{"users": "u03"}', b'{"users": [null]}', b'{"users": [["u03"]]}'),
    *(
        b'{"users": ["u03"], "users": ["u04"]}',
        b'{"users": ["\\u0000"]}',
        b'{"users": ["\\ud800"]}',
        b'{"USERS": ["u03"]}',
    ),
    *(
        b'{"inputs": []}',
        b'{"inputs": {}}',
        b'{"inputs": {"a": 1}}',
        b'{"inputs": {"a": []}}',
        b'{"inputs": {"": [1]}}',
    ),
    *(b'{"inputs": {"recency_days": [NaN]}}', b'{"inputs": {"recency_days": [Infinity]}}', b'{"day": "0000-00-00"}'),
    *(b'{"inputs": {"recency_days": [1e400]}, "day": "9999-12-31"}', b'{"users": [' + b'"u",' * 5000 + b'"u"]}'),
    *(b'{"inputs": {"recency_days": [' + b"9" * 5000 + b"]}}", b'{"users": ["u03"]} {"users": ["u04"]}', b"users=u03"),
)
HOSTILE_HEADERS: tuple[dict[str, str], ...] = (
    *(
        {"Content-Type": kind}
        for kind in ("", "text/plain", "application/xml", "multipart/form-data", "application/json; charset=utf-7")
    ),
    *(
        {"Authorization": value}
        for value in ("Bearer " + "x" * 7000, "Bearer rk__", "Bearer rk_" + "a" * 8 + "_" + "'" * 43, "x")
    ),
    *(
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-HTTP-Method-Override": "DELETE"},
        {"Host": "evil.example"},
        {"Accept": "text/html"},
    ),
    *({"Expect": "100-continue"}, {"Range": "bytes=0-5"}, {"Content-Encoding": "gzip"}, {"Cookie": "a=b" * 900}),
)


def judged(status: int, text: bytes) -> None:
    assert status < 500, text[:300]
    assert SENT not in text.decode("utf-8", "replace")
    assert b"Traceback" not in text and b".py" not in text
    if status >= 400 and text.startswith(b"{"):
        assert set(json.loads(text)["error"]) == {"code", "what", "todo"}


@pytest.mark.parametrize("user", HOSTILE_IDS, ids=range(len(HOSTILE_IDS)))
def test_hostile_ids(service, user):
    written = quote(user, safe="/%?#'|=", errors="surrogatepass")
    for path in (f"/v1/scores/recall/{written}", f"/v1/scores/{written}/u03", f"/v1/models/{written}"):
        judged(*sent(service, "GET", path, None, {}))


def test_hostile_bodies(service):
    for body in HOSTILE_BODIES:
        judged(*sent(service, "POST", "/v1/scores/recall", body, {}))
    wrong_length = {"Content-Length": "-1"}, {"Content-Length": "99999999999"}, {"Content-Length": "x"}
    for headers in wrong_length:
        judged(*sent(service, "POST", "/v1/scores/recall", None, headers))


def test_hostile_headers(service):
    body = json.dumps({"users": ["u03"], SENT: SENT}).encode()
    for headers in HOSTILE_HEADERS:
        judged(*sent(service, "POST", "/v1/scores/recall", body, headers))
        judged(*sent(service, "GET", "/v1/scores/recall/u03", None, headers))


def asked_as_described(service: Service, is_meant: Callable[[str], bool]) -> list[int]:
    """Ask what our own description of some paths allows and forbids, judge each answer, and return its status."""
    import schemathesis

    described = schemathesis.openapi.from_dict(json.loads(service.raw("/openapi.json")[1]))
    found: list[int] = []

    def ask(case: Any) -> None:
        answer = case.call(base_url=service.url, headers={"Authorization": f"Bearer {service.token}"}, timeout=20)
        judged(answer.status_code, answer.content)
        found.append(answer.status_code)

    limited = hypothesis_settings(max_examples=EACH, derandomize=True, suppress_health_check=list(HealthCheck))
    operations = [one.ok() for one in described.get_all_operations()]
    for operation in (one for one in operations if is_meant(one.path)):
        limited(given(case=operation.as_strategy())(ask))()
    return found


def test_what_our_own_description_allows_and_forbids(service):
    found = asked_as_described(service, lambda path: path.startswith("/v1"))

    assert len(found) > 2 * EACH
    assert {200, 404} <= set(found)
