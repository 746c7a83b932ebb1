"""The physical model of the fleet and its counterfactual."""
