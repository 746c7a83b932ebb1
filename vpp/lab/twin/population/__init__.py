"""The simulated population: cities, sites, cars and their charging sessions."""
