"""Personal data in texts, found by shape and then validated: a number that only looks like one stays."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_SEPARATORS = " -"


@dataclass(frozen=True)
class Pattern:
    """name: as policies have it. spans: start and end of each find in a text, ascending, none within another."""

    name: str
    title: str
    spans: Callable[[str], Iterator[tuple[int, int]]]


def luhn(digits: str) -> bool:
    """Check digit of ISO/IEC 7812: every second digit from the right but one doubled, digit sum divisible by 10."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) << (place & 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def mod_97(code: str) -> bool:
    """Check digits of ISO 13616: first four characters moved behind, letters as 10 to 35, remainder 1 by 97."""
    moved = code[4:] + code[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


_CARD = re.compile(r"(?<![0-9])(?<![0-9][ -])[0-9](?:[ -]?[0-9]){12,}", re.ASCII)


def _cards(text: str) -> Iterator[tuple[int, int]]:
    """13 to 19 digits, single spaces or hyphens between them, with a valid check digit; the longest from a start."""
    for run in _CARD.finditer(text):
        places = [place for place in range(run.start(), run.end()) if text[place] not in _SEPARATORS]
        first = 0
        while first + 13 <= len(places):
            for count in range(min(19, len(places) - first), 12, -1):
                own = places[first : first + count]
                starts = first == 0 or text[own[0] - 1] in _SEPARATORS
                ends = first + count == len(places) or text[own[-1] + 1] in _SEPARATORS
                if starts and ends and luhn("".join(text[place] for place in own)):
                    yield own[0], own[-1] + 1
                    first += count - 1
                    break
            first += 1


_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_EMAIL = re.compile(
    # What stands before a dot need not belong to it; that it ends within 64 characters keeps the search linear.
    rf"(?<!{_ATOM})(?=[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@){_ATOM}+(?:\.{_ATOM}+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]",
    re.ASCII,
)


def _emails(text: str) -> Iterator[tuple[int, int]]:
    """A dot-atom of RFC 5322 up to 64 characters, @, and a domain name of two labels or more."""
    for found in _EMAIL.finditer(text):
        if len(found[0]) <= 254:
            yield found.span()


_IBAN = re.compile(r"(?<![A-Za-z0-9])(?=([A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}))", re.ASCII)


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    """Country, two check digits and 11 to 30 characters, single spaces between; the longest that is valid."""
    end = 0
    for found in _IBAN.finditer(text):
        if found.start() < end:
            continue
        places = [place for place in range(*found.span(1)) if text[place] != " "]
        for count in range(len(places), 14, -1):
            stop = places[count - 1] + 1
            is_whole = stop == len(text) or not (text[stop].isascii() and text[stop].isalnum())
            if is_whole and mod_97("".join(text[place] for place in places[:count])):
                yield found.start(), stop
                end = stop
                break


_IPV4 = re.compile(r"(?<![0-9A-Za-z.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z])(?!\.[0-9])", re.ASCII)
_IPV6 = re.compile(r"(?<![0-9A-Za-z.:])[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*", re.ASCII)


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    """An IPv4 address in four decimal parts, or an IPv6 address."""
    found: list[tuple[int, int]] = []
    for shape in (_IPV6, _IPV4):
        for match in shape.finditer(text):
            written = match[0].rstrip(".")
            if shape is _IPV6 and not written.endswith("::"):
                written = written.rstrip(":")
            start, end = match.start(), match.start() + len(written)
            is_cut = end < len(text) and text[end].isascii() and text[end].isalnum()
            is_inside = any(first < end and start < last for first, last in found)
            if not is_cut and not is_inside and _is_address(written, shape is _IPV6):
                found.append((start, end))
    yield from sorted(found)


def _is_address(written: str, is_version_6: bool) -> bool:
    if is_version_6 and (written.count(":") < 2 or written == "::"):
        return False
    try:
        ipaddress.ip_address(written)
    except ValueError:
        return False
    return True


PATTERNS = {
    pattern.name: pattern
    for pattern in (
        Pattern("card", "payment card number, check digit by Luhn", _cards),
        Pattern("email", "e-mail address", _emails),
        Pattern("iban", "IBAN, check digits modulo 97", _ibans),
        Pattern("ip", "IPv4 or IPv6 address", _addresses),
    )
}


def redact_text(text: str, names: list[str]) -> tuple[str, dict[str, int]]:
    """The text with every find of these patterns replaced by its name in brackets; how many there were of each."""
    counts: dict[str, int] = {}
    # What went may have hidden a find beside it, so until there is none.
    while True:
        before = text
        for name in names:
            pieces: list[str] = []
            end = 0
            for start, stop in PATTERNS[name].spans(text):
                pieces += (text[end:start], f"[{name}]")
                end = stop
                counts[name] = counts.get(name, 0) + 1
            text = "".join(pieces) + text[end:]
        if text == before:
            return text, counts


def find_in_bytes(data: bytes, names: Sequence[str]) -> list[tuple[int, int, str]]:
    """Start, end and pattern of each find in bytes of which nobody says what text they are; ascending, none within
    another."""
    text = data.decode("latin-1")
    found: list[tuple[int, int, str]] = []
    while True:
        before = len(found)
        for name in names:
            spans = [(start, stop, name) for start, stop in PATTERNS[name].spans(text)]
            pieces, end = list[str](), 0
            for start, stop, _ in spans:
                # No pattern matches a NUL, so what was found is found once.
                pieces += (text[end:start], "\0" * (stop - start))
                end = stop
            text = "".join(pieces) + text[end:]
            found += spans
        if len(found) == before:
            return sorted(found)
