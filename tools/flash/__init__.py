"""MicroPython onto an ESP32-C3: an image is checked, written, verified, and heard to start."""
