"""The answer that the raw loop sends without having understood the request."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Canned:
    """An answer as octets, each piece so many times, and what the loop waits for before it sends them."""

    pieces: tuple[tuple[bytes, int], ...]
    content: int = 0  # octets behind each head
    pause: float = 0.0
    closes: bool = False
    pipelined: bool = False
    in_pieces: bool = False

    @property
    def joined(self) -> bytes:
        return b"".join(octets * times for octets, times in self.pieces)

    def as_json(self) -> str:
        pieces = [(octets.decode("latin-1"), times) for octets, times in self.pieces]
        return json.dumps({**self.__dict__, "pieces": pieces})

    @classmethod
    def from_json(cls, text: str) -> Canned:
        values = json.loads(text)
        values["pieces"] = tuple((octets.encode("latin-1"), times) for octets, times in values["pieces"])
        return cls(**values)
