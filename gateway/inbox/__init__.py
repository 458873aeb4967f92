"""Messages that wait for a profile, and the devices that wait for messages."""
