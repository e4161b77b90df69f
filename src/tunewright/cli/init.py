"""x."""
def init() -> None:
    """Write."""
