"""Load generators: charging stations by the ten thousand, and the central system ours is compared with."""
