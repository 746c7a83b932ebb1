"""SunSpec: discovery of models, readings, and the controls that take setpoints."""
