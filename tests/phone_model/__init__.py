"""Phones of all kinds, as clients of a board: see test_phone_model.py."""
