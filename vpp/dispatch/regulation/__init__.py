"""Frequency regulation: AGC signal, followers and their part in full cycles."""
