"""What runs the network: XLA on any device, or OpenVINO on a CPU."""
