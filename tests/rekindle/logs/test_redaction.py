"""What must not stand in a log goes, in each usual spelling; what a log is read for stays as it is."""

from __future__ import annotations

import json
import string
from base64 import b64encode
from datetime import UTC
from typing import TYPE_CHECKING
from urllib.parse import quote

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat as Format

from rekindle.logs.redaction import MAIL, PHONE, SECRET, redact, redact_value, redactor, secrets_of

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = [
    number
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
    if (number := phonenumbers.example_number_for_type(region, kind))
]
"""A mobile and a fixed number of each country, as a library writes them that the code does not use."""

INTERNATIONAL = {
    "E.164": lambda number: phonenumbers.format_number(number, Format.E164),
    "with blanks": lambda number: phonenumbers.format_number(number, Format.INTERNATIONAL),
    "as a link": lambda number: phonenumbers.format_number(number, Format.RFC3966),
    "with dashes": lambda number: phonenumbers.format_number(number, Format.INTERNATIONAL).replace(" ", "-"),
    "with dots": lambda number: phonenumbers.format_number(number, Format.INTERNATIONAL).replace(" ", " . "),
    "no-break": lambda number: phonenumbers.format_number(number, Format.INTERNATIONAL).replace(" ", "\u00a0"),
    "as told on cards": lambda number: f"+{number.country_code} (0) {number.national_number}",
    "in a URL": lambda number: quote(phonenumbers.format_number(number, Format.E164)),
    "named": lambda number: f"phone={number.country_code}{number.national_number}",
    "in JSON": lambda number: json.dumps({"phone_number": f"{number.country_code}{number.national_number}"}),
    "by Postgres": lambda number: f"Key (phone)=({number.country_code}{number.national_number}) already exists.",
}

AROUND = [
    "{}",
    "sent to {}",
    "sent to {}, 3 times",
    "({})",
    '"{}"',
    "to={}.",
    "at 2026-11-28 03:00:00 {} 2026-11-28 03:00",
]


def digits_of(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


@pytest.mark.parametrize("spelling", INTERNATIONAL)
@pytest.mark.parametrize("around", AROUND)
def test_a_phone_of_any_country_goes(spelling: str, around: str):
    """Of the number nothing is left, and of the sentence around it nothing is lost."""
    for number in EXAMPLES:
        told = INTERNATIONAL[spelling](number)
        left = redact(around.format(told))

        assert PHONE in left, told
        assert digits_of(left) == digits_of(around), told


@pytest.mark.parametrize(
    "phone",
    [
        "0049 151 2345678",
        "00491512345678",
        "015123456789",
        "0151 23456789",
        "0151/23456789",
        "0151-2345-6789",
        "(0151) 2345678",
        "01 23 45 67 89",
        "020 7946 0958",
        "(212) 555-0123",
        "212-555-0123",
        "212.555.0123",
        "1-212-555-0123",
        "+49\u00a0151\u201123456789",
        "\uff0b4915123456789",
        "+\u0664\u0669\u0661\u0665\u0661\u0662\u0663\u0664\u0665\u0666\u0667",
    ],
)
@pytest.mark.parametrize("around", AROUND)
def test_a_phone_as_people_write_it_at_home_goes(phone: str, around: str):
    left = redact(around.format(phone))

    assert PHONE in left
    assert digits_of(left) == digits_of(around)


local_parts = st.from_regex(r"[\w+][\w.+-]{0,20}[\w+]", fullmatch=True)
domains = st.from_regex(r"[a-z0-9-]{1,12}(\.[a-z0-9-]{1,12}){0,2}\.[a-z]{2,8}", fullmatch=True)
addresses = st.builds("{}@{}".format, local_parts, domains)


@given(addresses, st.sampled_from(["{}", "to {},", "<{}>", '{{"to":"{}"}}', "mailto:{}", "user='{}'"]))
def test_a_mail_address_goes(address: str, around: str):
    left = redact(around.format(address))

    assert MAIL in left
    assert "@" not in left


@given(addresses)
def test_a_mail_address_within_a_url_goes(address: str):
    left = redact(f"GET /users?mail={quote(address)}&day=2017-06-01 HTTP/1.1")

    assert quote(address) not in left
    assert "@" not in left and "%40" not in left


passwords = st.text(st.sampled_from(string.ascii_letters + string.digits + "!#$%&*()+,-./;<=>?@[]^_{|}~:"), min_size=6)
safe_passwords = st.text(st.sampled_from(string.ascii_letters + string.digits + "-_"), min_size=12, max_size=40)


def is_gone(secret: str, left: str, around: str) -> bool:
    """Of six characters none are left in a row, but for those that stand around them anyway."""
    others = around + SECRET
    return not any((part := secret[at : at + 6]) in left and part not in others for at in range(len(secret) - 5))


@given(
    passwords,
    st.sampled_from(
        [
            "host=pg password={} user=x",
            "PGPASSWORD={}",
            "pwd: {}",
            "AWS_SECRET_ACCESS_KEY={}",
            "spark.authenticate.secret={}",
            "x-api-key: {}",
            "sc://connect:15002/;token={}",
            "rekindle up --password {} --json",
            "--api-token={}",
            "Password for user 'admin': {}",
            "Authorization: Basic {} and more",
            "Cookie: session={}; theme=dark",
        ],
    ),
)
@example("-starts-with-a-dash", "password={}")
def test_what_is_named_as_a_secret_goes(password: str, around: str):
    if "--password {}" in around:
        password = f"x{password}"  # an option's value that begins with a dash would be another option

    assert is_gone(password, redact(around.format(password)), around)


@given(
    st.text(min_size=6),
    st.sampled_from(
        [
            lambda text: json.dumps({"password": text, "rows": 5}),
            lambda text: json.dumps({"client_secret": text}, ensure_ascii=False),
            lambda text: json.dumps(json.dumps({"token": text})),
            lambda text: repr({"password": text}),
            lambda text: repr(["--password", text]),
            lambda text: repr([("authorization", text)]),
            lambda text: "alter role scorer password '{}'".format(text.replace("'", "''")),
        ]
    ),
)
def test_a_secret_in_quotes_goes_to_their_end(secret: str, written: object):
    around = written("")
    left = redact(written(secret))

    assert len(left) <= len(around) + len(SECRET)


@given(safe_passwords, st.sampled_from(["postgresql", "postgresql+psycopg", "https", "redis", "s3", "amqp"]))
def test_who_logs_in_by_a_url_goes_and_the_place_stays(password: str, scheme: str):
    left = redact(f"connect {scheme}://scorer:{password}@pg.internal:5432/scores?sslmode=verify-full failed")

    assert left == f"connect {scheme}://{SECRET}@pg.internal:5432/scores?sslmode=verify-full failed"


@given(passwords)
def test_a_database_password_that_was_not_encoded_goes(password: str):
    url = "postgresql://scorer:{}@pg:5432/scores"

    assert is_gone(password, redact(url.format(password)), url)


@given(st.binary(min_size=9, max_size=60))
def test_a_token_goes_that_says_what_it_is(content: bytes):
    text = b64encode(content).decode()
    jwt = f"eyJ{text.strip('=').replace('+', '-').replace('/', '_')}.eyJzdWIiOiIxIn0.c2ln"

    assert redact(f"Bearer {text}x1") == f"Bearer {SECRET}"
    assert redact(f"got {jwt}!") == f"got {SECRET}!"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("key AKIAIOSFODNN7EXAMPLE is unknown", f"key {SECRET} is unknown"),
        ("https://hooks.example.com/services/T0/B0/x", f"https://hooks.example.com/{SECRET}"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nread", f"{SECRET}\nread"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", SECRET),
        ("verifier SCRAM-SHA-256$4096:abc$def:ghi", f"verifier {SECRET}"),
        ("jdbc:postgresql://pg/lake?user=x&password=y&ssl=true", f"jdbc:postgresql://pg/lake?user=x&password={SECRET}"),
        ("{'Authorization': 'Bearer x y', 'Accept': '*/*'}", f"{{'Authorization': {SECRET}, 'Accept': '*/*'}}"),
    ],
)
def test_what_is_left_is_still_read(text: str, left: str):
    assert redact(text) == left


KEPT = [
    st.datetimes(timezones=st.just(UTC)).map(lambda at: at.isoformat()),
    st.datetimes(timezones=st.just(UTC)).map(lambda at: at.isoformat(sep=" ", timespec="seconds")),
    st.datetimes().map(lambda at: at.strftime("%d/%b/%Y:%H:%M:%S +0100")),
    st.datetimes().map(lambda at: at.strftime("%y/%m/%d %H:%M:%S")),
    st.dates().map(lambda day: day.strftime("%d/%m/%Y")),
    st.datetimes().map(lambda at: at.strftime("%Y%m%dT%H%M%S")),
    st.dates().map(str),
    st.uuids().map(str),
    st.binary(min_size=16, max_size=64).map(bytes.hex),
    st.integers(min_value=10**17, max_value=2**63 - 1).map("snapshot {}".format),
    st.integers(min_value=0, max_value=10**13).map(str),
    st.integers().map("{:,}".format),
    st.floats(min_value=0, max_value=1).map("{:.9f}".format),
    st.floats(min_value=-9, max_value=9).map("{:+.7f}".format),
    st.ip_addresses().map(str),
    st.tuples(st.ip_addresses(v=4), st.integers(1, 65535)).map(lambda place: f"{place[0]}:{place[1]}"),
    st.tuples(*[st.integers(0, 999)] * 3).map(lambda version: "mlflow=={}.{}.{}".format(*version)),
    st.tuples(st.integers(0, 99999), st.uuids()).map(lambda file: f"/lake/raw/part-{file[0]:05}-{file[1]}.parquet"),
    st.tuples(st.integers(0, 99999), st.uuids()).map(lambda file: f"metadata/{file[0]:05}-{file[1]}.metadata.json"),
    st.tuples(st.dates(), st.integers(0, 10**8)).map(lambda told: f"day={told[0]}/rows={told[1]}"),
    st.sampled_from(
        [
            'password authentication failed for user "scorer"',
            "Basic authentication is on",
            "Done. PASS=12 WARN=0 ERROR=0 SKIP=0 TOTAL=12",
            "POSTGRES_PASSWORD_FILE=/run/secrets/postgres PWD=/opt/airflow",
            "org.apache.spark.sql.Dataset@1a2b3c4d",
            "8 tokens: 5 used",
            "sms_reader@rekindle",
        ]
    ),
]


@given(st.lists(st.one_of(KEPT), min_size=1, max_size=4), st.sampled_from([", ", " | ", " of ", "; "]))
def test_what_a_log_is_read_for_stays(parts: list[str], between: str):
    text = between.join(parts)

    assert redact(text) == text


pieces = st.sampled_from(
    [
        *(
            "password=",
            '"token": ',
            "phone:",
            "Bearer ",
            "postgresql://",
            "@",
            "+49",
            "151",
            "2345678",
            "'",
            '"',
            " ",
            "\n",
        ),
        *("[secret]", "[phone]", "Authorization: ", "--secret ", "x", "a.de", "0151", "-", "://", "\\", "=", ","),
    ]
)


@given(st.lists(pieces, max_size=12).map("".join))
def test_nothing_breaks_it_and_no_line_is_added(text: str):
    assert redact(text).count("\n") <= text.count("\n")


@pytest.mark.parametrize(
    "text", ["password=x", '{"password": "x", "a": 1}', "Authorization: x y", "a@b.de +4915123456789"]
)
def test_what_was_redacted_once_stays_as_it_is(text: str):
    assert redact(redact(text)) == redact(text)


def test_a_document_is_redacted_by_its_names_too():
    told = {
        "password": "a b",
        "phone": 4915123456789,
        "rows": 4915123456789,
        "headers": [{"Authorization": ["Basic x"]}],
        "by": {"+4915123456789": "a@b.de"},
        "token": None,
    }

    assert redact_value(told) == {
        "password": SECRET,
        "phone": PHONE,
        "rows": 4915123456789,
        "headers": [{"Authorization": [SECRET]}],
        "by": {PHONE: MAIL},
        "token": None,
    }


def test_what_a_service_holds_as_a_secret_goes_wherever_it_stands(tmp_path: Path):
    """Also where nothing tells it from a word: by itself, or percent-encoded."""
    (tmp_path / "store").write_text("plain-and-long/1\n")
    (tmp_path / "auth.ini").write_text("[mlflow]\nadmin_password = of-a-file-of-many\ndefault = NO_PERMISSIONS\n")
    (tmp_path / "users.json").write_text(json.dumps({"access": "loader", "secret": "of-a-json-file"}, indent=1))
    (tmp_path / "folder").mkdir()
    environ = {
        "REKINDLE_DATABASE_URL": "postgresql://scorer:of-a-url%2Fencoded@pg/scores",
        "MLFLOW_SECRET_KEY": "of-a-variable",
        "DB_PASSWORD_FILE": "/run/secrets/store",
        "HOME": "/home/rekindle",
    }
    tell = redactor(secrets_of(environ, sorted(tmp_path.iterdir())))

    for secret in ("plain-and-long/1", "plain-and-long%2F1", "of-a-file-of-many", "of-a-json-file", "of-a-variable"):
        assert tell(f"the word {secret} alone") == f"the word {SECRET} alone"
    assert tell("of-a-url%2Fencoded or of-a-url/encoded") == f"{SECRET} or {SECRET}"
    assert (
        tell("NO_PERMISSIONS /run/secrets/store /home/rekindle") == "NO_PERMISSIONS /run/secrets/store /home/rekindle"
    )


def test_who_holds_no_secret_redacts_all_the_same():
    assert redactor(set())("a@b.de") == MAIL
