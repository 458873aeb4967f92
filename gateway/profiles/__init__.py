"""People: what is known about each, folded from events."""
