"""Keyed pseudonyms: the same identifier under the same key gives the same one, for ever.

Nothing leads back from a pseudonym without the key, not even by trying all identifiers there
are, because each is an HMAC-SHA-256. Hence whoever has the key can try them: it is kept like a
password.
"""

from __future__ import annotations

import hmac
import re
import unicodedata

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter that is taken for a digit."""

_LENGTH = 13
"""Times 5 bits is 65: among ten million patients two collide with a chance below one in 500,000.

With its prefix a pseudonym still fits into a DICOM SH of 16 characters.
"""

_UID = re.compile(r"\d{1,64}(\.\d{1,64}){1,31}")
_FILLERS = frozenset(
    "ANON ANONYM ANONYMIZED ANONYMISED ANONYMOUS DEFAULT DUMMY EMPTY ID MISSING N/A NA NIL NOID "
    "NONAME NONE NOT-AVAILABLE NOTAVAILABLE NULL PATIENT PATIENTID PATID PID TBD TEST UNBEKANNT "
    "UNDEFINED UNK UNKNOWN UNNAMED".split()
)
"""What is typed or set where there is no identifier; compared without spaces, in capitals."""

_MAX_SHIFT_DAYS = 3650


def patient_pseudonym(key: bytes, patient_id: str, issuer: str) -> str | None:
    """Name a patient by PatientID and its issuer: two issuers may give out the same number.

    Args:
        key: The installation's.
        patient_id: PatientID (0010,0020).
        issuer: IssuerOfPatientID (0010,0021).

    Returns:
        For instance "P-7F3K9Q2MZX04A"; None if the identifier is empty or a filler, because
        strangers would be taken for one patient.
    """
    normalized = _normalized(patient_id)
    if not normalized or _is_filler(normalized):
        return None
    return f"P-{_name(key, 'patient', _normalized(issuer), normalized)}"


def station_pseudonym(key: bytes, station: str) -> str | None:
    """Name a machine by its station name or serial number; None if empty or a filler."""
    normalized = _normalized(station)
    if not normalized or _is_filler(normalized):
        return None
    return f"D-{_name(key, 'station', normalized)}"


def uid_pseudonym(key: bytes, kind: str, uid: str) -> str | None:
    """Name a study ("study") or an image ("instance") by its UID; None if it is none."""
    clean = uid_value(uid)
    if clean is None:
        return None
    return f"{kind[0].upper()}-{_name(key, kind, clean)}"


def uid_value(text: str) -> str | None:
    """A UID without padding; None for all that is none, such as zeros only."""
    clean = text.strip("\0 ")
    return clean if _UID.fullmatch(clean) and clean.strip("0.") else None


def replacement_uid(key: bytes, *parts: str) -> str:
    """Make the UID that stands for another one (PS3.5 annex B.2: 2.25 and a number)."""
    return f"2.25.{int.from_bytes(_digest(key, 'uid', *parts)[:16], 'big')}"


def shift_days(key: bytes, subject: str) -> int:
    """Days by which all dates of a subject move into the past, 1 to 3650."""
    return int.from_bytes(_digest(key, "dates", subject)[:8], "big") % _MAX_SHIFT_DAYS + 1


def key_check(key: bytes) -> str:
    """Fingerprint by which a key is known again, 16 hexadecimal digits; tells nothing of it."""
    return _digest(key, "key check").hex()[:16]


def _digest(key: bytes, *parts: str) -> bytes:
    # Each part with its length, lest ("a", "bc") and ("ab", "c") be one.
    message = b"".join(len(p).to_bytes(4, "big") + p for p in (part.encode() for part in parts))
    return hmac.digest(key, message, "sha256")


def _name(key: bytes, *parts: str) -> str:
    number = int.from_bytes(_digest(key, *parts), "big") >> (256 - 5 * _LENGTH)
    return "".join(_DIGITS[number >> 5 * i & 31] for i in reversed(range(_LENGTH)))


def _normalized(text: str) -> str:
    """The same characters however they were encoded; case is left, for it may tell two apart."""
    return " ".join(unicodedata.normalize("NFKC", text).replace("\0", " ").split())


def _is_filler(text: str) -> bool:
    """Words of ``_FILLERS``; nothing but zeros, X, punctuation; five nines or more."""
    bare = text.upper().replace(" ", "")
    marks = all(not character.isalnum() or character in "0X" for character in bare)
    return bare in _FILLERS or marks or (len(bare) >= 5 and not bare.strip("9"))
