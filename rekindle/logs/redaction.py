"""
Take out of a text what must not stand in a log: phones, mail addresses, tokens, and who logs in with what in a URL.

What a log is read for stays: times, dates, digests, ids of snapshots, counts, versions, addresses of machines, paths. So a
number is a phone only where it is spelt as one (with a plus, 00, a leading 0, or as in North America) or named as one: ten
bare digits are a count. What a service holds as its own secret is taken out wherever it stands, see `secrets_of`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

PHONE, MAIL, SECRET = "[phone]", "[mail]", "[secret]"

SECRETS = Path("/run/secrets")
"""Where a container finds what it must not tell."""

SHORTEST_SECRET = 12
"""Characters. A shorter one would be found within ordinary words, and `make secrets` makes none."""

# Secrets that have a name before them

_NAMES_OF_SECRETS = (
    r"password|passwd|passphrase|pwd(?!=/)|secret|token|credentials?|signature|\bsig|jwt|"
    r"(?:api|access|secret|private|fernet|phone|signing|encryption|account|shared|session|master)[_. -]?key(?:[_-]?id)?"
)
_HINTS = ("passw", "passp", "pwd", "secret", "token", "credential", "sig", "jwt", "key", "authori", "cookie")
"""In lower case. A text with none of them names no secret, which of most lines is quickly told."""

_SEPARATOR = r"""(?:\\?["']?[)\]]?[ \t]*+(?:=>|[=:]|%3D)[ \t]*+\(?|["'],[ \t]*+(?=[a-zA-Z]?["']))"""
"""`password=`, `"password": `, `Key (token)=(`, `("password", `, `password%3D`."""

_QUOTED = (
    r"""\\"(?:[^\\"]|\\\\(?:\\"|\\\\|[^\\"]))*+(?:\\")?|[a-zA-Z]?"(?:\\.|[^"\\])*+"?|[a-zA-Z]?'(?:\\.|''|[^'\\])*+'?"""
)
"""A text in quotes, also one that was cut before their end."""

_NAMED = re.compile(
    # The value of a header has blanks in it. Whatever else has no quotes ends at a blank, and only there: passwords hold & and ;
    rf"(?P<header>(?:authori[sz]ation|cookie){_SEPARATOR})(?!\[secret\])(?:{_QUOTED}|[^\n]+)"
    rf"|(?P<key>(?:{_NAMES_OF_SECRETS}){_SEPARATOR})(?!\[secret\])(?:{_QUOTED}|\S+)"
    rf"|(?P<option>(?<![\w-])--[\w-]*(?:{_NAMES_OF_SECRETS})[ \t]++)(?!-|\[secret\])(?:{_QUOTED}|\S+)"
    # `alter role scorer password 'x'`, as Postgres repeats a statement that failed.
    rf"|(?P<sql>password[ \t]++)(?=[a-z]?')(?:{_QUOTED})"
    # As Airflow tells a password that it has made up.
    r"|(?P<told>password for (?:user )?\S+:[ \t]*+)(?!\[secret\])\S+",
    re.IGNORECASE,
)

# Secrets that show what they are

_LOGIN = re.compile(
    # A password that was not percent-encoded may hold / and @: a database's ends at the last @.
    r"(?P<database>\b(?:postgres|postgresql|mysql|mariadb|mongodb|rediss?|amqps?)(?:\+\w+)?://)\S{0,2000}@"
    r"|(?P<any>://)[^\s/?#\"'<>]*@"
    # Who knows the path of a webhook can write to it.
    r"|(?P<webhook>://hooks\.[\w.-]+/)[^\s\"'<>]+",
    re.IGNORECASE,
)
_SCHEME = re.compile(
    # Told from words such as "basic authentication" by a digit, a capital within, or its length.
    r"\b(?P<scheme>(?i:bearer|basic|digest|negotiate)[ \t]++)"
    r"(?:(?=[\w.~+/-]*(?:\d|[\w.~+/-][A-Z]))[\w.~+/=-]{8,}|[\w.~+/=-]{16,})"
)
_SHAPED = re.compile(
    r"\b(?:eyJ[\w-]{5,}\.[\w.-]+"
    r"|(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA|ANVA|ABIA|ACCA)[0-9A-Z]{16}\b"
    r"|(?:gh[oprsu]_|github_pat_|glpat-|xox[abeprs]-|sk-|pypi-)[\w-]{16,}"
    r"|SCRAM-SHA-256\$\S+)"
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)

# People

_MAIL = re.compile(r"(?<![\w.+-])[\w.+-][\w.+'-]*+@[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}")
_MAIL_ENCODED = re.compile(r"(?<![\w.+-])[\w.+-]++%40[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,}")

_GAP = r"(?:[^\S\n]|[().\-/\u2010-\u2015\u2212])"
_ELSE = r"(?!(?:19|20)\d\d-[01]\d-[0-3]\d(?!\d)|\d\d:\d\d)"
"""A date or a time that follows a number is no part of it."""
_ALONE = r"(?<![\w+])(?<!\d[:/.,])(?<!\w-)(?![0-3]\d[/-][01]\d[/-](?:19|20)\d\d)"
_ENDS = r"(?![\w/-]|[.:]\w)"
"""Around digits without a plus: no part of a time, a date, a decimal, a UUID or the name of a file."""

_PHONE = re.compile(
    # +49 (0)151 234-5678, %2B49151…; neither an offset from UTC nor a decimal with its sign.
    r"(?<!:\d\d)(?:\+|%2B|\uff0b|&#43;)(?!\d+\.\d+(?![\d.]|[ -]\d))[^\S\n]?\(?(?!0)\d"
    rf"(?:{_GAP}{{0,3}}{_ELSE}\d){{6,14}}(?!\d)"
    # 0049 151 2345678
    rf"|{_ALONE}00[1-9](?:[ /-]?{_ELSE}\d){{8,13}}{_ENDS}"
    # 0151 23456789, 0151/2345678, (0151) 2345678, 015123456789
    rf"|{_ALONE}\(?0[1-9](?:\)?[ /-]?{_ELSE}\d){{7,11}}{_ENDS}"
    # (212) 555-0123, 212-555-0123, 212.555.0123, 1-212-555-0123
    r"|(?<![\w.-])(?:1[ -])?(?:\([2-9]\d\d\)[ ]?[2-9]\d\d[ .-]|[2-9]\d\d-[2-9]\d\d-|[2-9]\d\d\.[2-9]\d\d\.)\d{4}"
    rf"{_ENDS}",
    re.IGNORECASE,
)
_NAMES_OF_PHONES = r"(?:phone|msisdn|mobile|\btel|telephone|e164)(?:[_ -]?(?:number|no))?"
_NAMED_PHONE = re.compile(
    rf"(?P<key>{_NAMES_OF_PHONES}{_SEPARATOR}\\?[\"']?)[+(]?\d(?:{_GAP}{{0,3}}{_ELSE}\d){{5,14}}(?!\d)", re.IGNORECASE
)
_PHONE_HINTS = ("phone", "msisdn", "mobile", "tel", "e164")

_NAME_OF_SECRET = re.compile(rf"(?:{_NAMES_OF_SECRETS}|authori[sz]ation|cookie)$", re.IGNORECASE)
_NAME_OF_PHONE = re.compile(rf"{_NAMES_OF_PHONES}$", re.IGNORECASE)


def redact(text: str) -> str:
    """Return the text without what must not stand in a log. What was redacted once stays as it is."""
    lower = text.lower()
    if "private key" in lower:
        text = _PRIVATE_KEY.sub(SECRET, text)
    if "://" in text:
        text = _LOGIN.sub(_but_its_login, text)
    text = _SHAPED.sub(SECRET, text)
    if any(scheme in lower for scheme in ("bearer", "basic", "digest", "negotiate")):
        text = _SCHEME.sub(_but_its_name, text)
    if any(hint in lower for hint in _HINTS):
        text = _NAMED.sub(_but_its_name, text)
    return _without_people(text, lower)


def redact_value(value: Any, redact: Callable[[str], str] = redact, name: str = "") -> Any:
    """Return a value of a JSON document, and all within it, redacted: what is named as a secret is one, whatever it is."""
    match value:
        case dict():
            return {redact(key): redact_value(one, redact, key) for key, one in value.items()}
        case list() | tuple():
            return [redact_value(one, redact, name) for one in value]
        case None | bool():
            return value
    if _NAME_OF_SECRET.search(name):
        return SECRET
    if _NAME_OF_PHONE.search(name) and any(character.isdigit() for character in str(value)):
        return PHONE
    return redact(value) if isinstance(value, str) else value


def _but_its_name(match: re.Match[str]) -> str:
    return f"{match[str(match.lastgroup)]}{SECRET}"


def _but_its_login(match: re.Match[str]) -> str:
    return _but_its_name(match) + ("" if match.lastgroup == "webhook" else "@")


def _without_people(text: str, lower: str) -> str:
    if "@" in text:
        text = _MAIL.sub(MAIL, text)
    if "%40" in text:
        text = _MAIL_ENCODED.sub(MAIL, text)
    if any(hint in lower for hint in _PHONE_HINTS):
        text = _NAMED_PHONE.sub(rf"\g<key>{PHONE}", text)
    return _PHONE.sub(PHONE, text)


# Secrets that a service holds


def secrets_of(environ: Mapping[str, str], files: Iterable[Path]) -> set[str]:
    """
    Return what a service must not tell, in the forms in which it may be written: as it is and percent-encoded.

    That is each file's text, where it is one line, and what files and variables name as a secret or write into a URL.
    """
    found = {value for name, value in environ.items() if _NAME_OF_SECRET.search(name)}
    texts = [text.strip() for path in files if (text := _text_of(path))]
    found |= {text for text in texts if "\n" not in text}
    for text in (*environ.values(), *texts):
        found |= set(_named_in(text))
    plain = {secret for secret in found if len(secret) >= SHORTEST_SECRET and not secret.startswith("/")}
    return plain | {quote(secret, safe="") for secret in plain}


def own_redactor() -> Callable[[str], str]:
    """Return `redact`, which also takes out what this process holds as a secret: in its environment, and in its files."""
    return redactor(secrets_of(os.environ, SECRETS.glob("*")))


def redactor(secrets: Collection[str]) -> Callable[[str], str]:
    """Return `redact`, which takes out the secrets beforehand: whoever writes one by itself gives nothing to tell it by."""
    if not secrets:
        return redact
    known = re.compile("|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True)))
    return lambda text: redact(known.sub(SECRET, text))


def _text_of(path: Path) -> str:
    """A file's text; nothing where it cannot be read: a folder, or another service's secret."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _named_in(text: str) -> Iterator[str]:
    for match in _NAMED.finditer(text):
        yield match[0].removeprefix(match[str(match.lastgroup)]).strip("\"'")
    for match in _LOGIN.finditer(text):
        _, _, password = match[0].removeprefix(match[str(match.lastgroup)]).rpartition("@")[0].partition(":")
        yield from (password, unquote(password))
