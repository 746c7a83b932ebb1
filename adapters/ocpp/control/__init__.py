"""Control of stations: scripts, instructions and the tests of what a station obeys."""
