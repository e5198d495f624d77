"""Who acts. Accounts come later; every service already takes a Reader."""

from __future__ import annotations

from dataclasses import dataclass

from ddad_core.errors import RequestError

NAME_LIMIT = 80


@dataclass(frozen=True)
class Reader:
    """A person who reads radiographs.

    Attributes:
        name: As the reader gave it, without surrounding or repeated blanks.
    """

    name: str

    @classmethod
    def named(cls, text: str) -> Reader:
        """Make a reader from what was typed.

        Raises:
            RequestError: The name is empty, too long or holds control characters.
        """
        name = " ".join(text.split())
        if not name:
            problem = "A reader needs a name."
            raise RequestError(problem, "Type the name your reads are to be stored under.")
        if len(name) > NAME_LIMIT or not name.isprintable():
            problem = f"The name must have at most {NAME_LIMIT} printable characters."
            raise RequestError(problem, "Shorten it.")
        return cls(name)
