"""How linear probes learn: fits, calibration, shares of classes, what is unknown, scores."""
