"""What the product costs: bytes of flash and heap, depth of the stack, time to start."""
