"""The parts of the threshold screen."""
