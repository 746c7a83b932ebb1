"""The record composed: its anchor, its audit, and acceptance of a restored one."""
