"""Journeys: which event leads to which message, for whom, how often; and why, or why not."""
