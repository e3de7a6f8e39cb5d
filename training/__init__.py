"""From vectors to a tracked, registered model: detectors, labels, splits in time, metrics, search."""
