"""Drive boards over their serial line, simulated or real, from pytest."""
