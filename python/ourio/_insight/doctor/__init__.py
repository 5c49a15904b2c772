"""``ourio doctor``: runs a program with everything on, and ends with what is wrong with it, where, and what helps."""

from ourio._insight.doctor.doctor import run

__all__ = ["run"]
