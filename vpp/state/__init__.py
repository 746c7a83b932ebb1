"""What is believed: the process image, its health, and the sessions."""
