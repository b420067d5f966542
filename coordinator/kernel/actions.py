"""What an operator wants to do, and what is wrong with it."""


class BadAction(ValueError):
    """What the operator wants cannot be; `field` is what is wrong with it."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"{field} {what}")
        self.field = field
        self.what = what
