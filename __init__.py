"""Behavioural anomaly detection on event logs."""

__version__ = "0.1.0"
