"""What `make bench` runs: the measured part of docs/results.md."""
