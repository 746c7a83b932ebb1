"""From samples to 15-minute means, with their quality."""
