"""Which addresses a file has named so far, in a few bytes for each of millions."""

from array import array

_FIRST_SLOTS = 4096
_FINGERPRINT_BYTES = 8
_FINGERPRINT_DIGITS = 2 * _FINGERPRINT_BYTES


class SeenAddresses:
    """A hash table of fingerprints, with linear probing; a `set` would take five times as much.

    Fingerprints are the beginnings of keyed hashes. Nobody can make two alike on purpose, and of
    five million addresses two are alike by chance in one file of a million.
    """

    def __init__(self) -> None:
        self._slots = _empty(_FIRST_SLOTS)
        self._count = 0

    def add(self, email_hash: str) -> bool:
        """Remember a hash in hexadecimal; False when it was there before."""
        fingerprint = int(email_hash[:_FINGERPRINT_DIGITS], 16) or 1  # 0 is a free slot
        if not _put(self._slots, fingerprint):
            return False
        self._count += 1
        if self._count * 3 > len(self._slots) * 2:
            self._grow()
        return True

    def _grow(self) -> None:
        slots = _empty(len(self._slots) * 2)
        for fingerprint in self._slots:
            if fingerprint:
                _put(slots, fingerprint)
        self._slots = slots


def _empty(slots: int) -> "array[int]":
    return array("Q", bytes(slots * _FINGERPRINT_BYTES))


def _put(slots: "array[int]", fingerprint: int) -> bool:
    mask = len(slots) - 1
    index = fingerprint & mask
    while found := slots[index]:
        if found == fingerprint:
            return False
        index = (index + 1) & mask
    slots[index] = fingerprint
    return True
