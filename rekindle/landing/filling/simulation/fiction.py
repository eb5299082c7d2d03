"""
Phones of which nobody is called: ranges that regulators keep free for films and books, in six countries.

United States: 555-0100 to 555-0199 of each area code (North American Numbering Plan Administration). United Kingdom: Ofcom's
numbers for drama. Germany: Bundesnetzagentur, notice 148/2021. France: ARCEP, decision 2018-0881. Australia: ACMA's numbers for
fiction. Sweden: PTS. No such range is known of Brazil and India.

`phonenumbers` takes those of the United Kingdom and of France for no valid mobile numbers, as no operator has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

CODES = (
    "201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 220 223 224 225 227 228 229 231 234 235 "
    "239 240 248 251 252 253 254 256 260 262 267 269 270 272 274 276 279 281 283 301 302 303 304 305 307 308 309 "
    "310 312 313 314 315 316 317 318 319 320 321 323 324 325 326 327 329 330 331 332 334 336 337 339 341 346 347 "
    "350 351 352 353 360 361 363 364 369 380 385 386 401 402 404 405 406 407 408 409 410 412 413 414 415 417 419 "
    "423 424 425 430 432 434 435 440 442 443 445 447 448 458 463 464 469 470 472 475 478 479 480 484 501 502 503 "
    "504 505 507 508 509 510 512 513 515 516 517 518 520 530 531 534 539 540 541 551 557 559 561 562 563 564 567 "
    "570 571 572 573 574 575 580 582 585 586 601 602 603 605 606 607 608 609 610 612 614 615 616 617 618 619 620 "
    "623 626 628 629 630 631 636 640 641 645 646 650 651 656 657 659 660 661 662 667 669 678 680 681 682 686 689 "
    "701 702 703 704 706 707 708 712 713 714 715 716 717 718 719 720 724 725 726 727 728 730 731 732 734 737 738 "
    "740 743 747 748 754 757 760 762 763 765 769 770 771 772 773 774 775 779 781 785 786 801 802 803 804 805 806 "
    "808 810 812 813 814 815 816 817 818 820 821 826 828 830 831 832 835 838 839 840 843 845 847 848 850 854 856 "
    "857 858 859 860 862 863 864 865 870 872 878 901 903 904 906 907 908 909 910 912 913 914 915 916 917 918 919 "
    "920 925 928 929 930 931 934 936 937 938 940 941 943 945 947 948 949 951 952 954 956 959 970 971 972 973 975 "
    "978 979 980 983 984 985 986 989 "
)
AREA_CODES = tuple(CODES.split())
"""Of the United States and in use on the day this was written, whatever is added to them: the same users keep their numbers."""

CALLING_CODES = MappingProxyType({"US": "1", "GB": "44", "DE": "49", "FR": "33", "AU": "61", "SE": "46"})
ABROAD = ("AU", "SE")
"""Countries of numbers that users bring with them from elsewhere."""


@dataclass(frozen=True)
class Range:
    """National numbers of one beginning, without the 0 that is dialled before them."""

    begin: str
    first: int = 0
    last: int = 0
    digits: int = 0

    def numbers(self) -> list[str]:
        """All of them, in order."""
        if not self.digits:
            return [self.begin]
        return [f"{self.begin}{number:0{self.digits}}" for number in range(self.first, self.last + 1)]


AUSTRALIAN = (
    "491570006 491570110 491570156 491570157 491570158 491570159 491570313 491570737 491571266 491571491 "
    "491571804 491572549 491572665 491572983 491573087 491573770 491574118 491574632 491575254 491575789 "
    "491576398 491576801 491577426 491577644 491578148 491578888 491578957 491579212 491579455 491579760 "
)
MOBILE = MappingProxyType(
    {
        "GB": (Range("7700900", 0, 999, 3),),
        "DE": (
            Range("17139200", 0, 99, 2),
            Range("176040690", 0, 99, 2),
            *map(Range, ("15228817386", "15228895456", "15254599371", "1729925904", "1729968532", "1729973185")),
            *map(Range, ("1729973186", "1729980752", "1749091317", "1749464308")),
        ),
        "FR": (Range("63998", 0, 9999, 4),),
        "AU": tuple(map(Range, AUSTRALIAN.split())),
        "SE": (Range("701740", 605, 699, 3),),
    }
)
FIXED = MappingProxyType(
    {
        # The United States tell no landline from a mobile: these are toll-free.
        "US": tuple(Range(f"{code}5550199") for code in ("800", "888", "877", "866", "855", "844", "833")),
        "GB": (Range("207946", 0, 999, 4),),
        "DE": (Range("3023125", 0, 999, 3),),
        "FR": (Range("19900", 0, 9999, 4),),
    }
)


@cache
def mobiles(country: str) -> tuple[str, ...]:
    """National numbers of mobile phones, none where no range is known; neighbours are of different area codes."""
    if country == "US":
        return tuple(f"{code}55501{line:02}" for line in range(100) for code in AREA_CODES)
    return tuple(number for range_ in MOBILE.get(country, ()) for number in range_.numbers())


@cache
def landlines(country: str) -> tuple[str, ...]:
    """National numbers that no text message reaches."""
    return tuple(number for range_ in FIXED.get(country, ()) for number in range_.numbers())


NO_NUMBERS = ("unknown", "12345", "1.41556E+10", "555-01", "+1 212 555 01", "0171/39200", "n/a", "+0000000000")
"""What stands where a number should."""


def e164(country: str, number: str) -> str:
    """As machines write it."""
    return f"+{CALLING_CODES[country]}{number}"


def written(country: str, number: str, form: int) -> str:
    """One of four ways in which people write a number."""
    code = CALLING_CODES[country]
    if country == "US":
        area, exchange, line = number[:3], number[3:6], number[6:]
        american = (f"({area}) {exchange}-{line}", f"1-{area}-{exchange}-{line}", f"+1 {area} {exchange} {line}")
        return (e164(country, number), *american)[form]
    begin, end = number[:3], number[3:]
    return (e164(country, number), f"0{begin} {end}", f"00{code}{number}", f"+{code} (0) {begin}-{end}")[form]
