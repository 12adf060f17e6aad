"""Side-by-side measurements, printed as ratios. Run as modules from the repository root."""
