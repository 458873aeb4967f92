"""A fleet of SDK clients that lives the lives of real customers against a running gateway."""
