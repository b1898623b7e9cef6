"""The simulated board and its world."""
