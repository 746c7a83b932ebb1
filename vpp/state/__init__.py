"""State of the fleet: process image, charging sessions, eligibility."""
