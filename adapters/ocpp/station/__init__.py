"""State of one charging station, whichever connection it has."""
