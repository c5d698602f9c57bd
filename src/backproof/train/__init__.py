"""Training: model files, and what stands beside the loop."""
