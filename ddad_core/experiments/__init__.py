"""`ddad experiment`: a grid of networks, seeds and unlabelled sets, and its report."""
