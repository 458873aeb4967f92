"""What the screens show and what happens there, as plain objects: no window needed to try them."""
