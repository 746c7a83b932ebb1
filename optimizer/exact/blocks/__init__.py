"""The model's blocks: each adds its own variables and constraints and reads its own result."""
