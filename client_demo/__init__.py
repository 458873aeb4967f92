"""The demo: a fleet of devices on real data, and the app they stand for."""
