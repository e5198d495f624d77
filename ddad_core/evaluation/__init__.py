"""Metrics, thresholds and reports: numpy in, numbers out, no torch."""
