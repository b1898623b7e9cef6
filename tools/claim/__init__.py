"""Node credentials from where claiming or a factory left them, checked before a board gets them."""
