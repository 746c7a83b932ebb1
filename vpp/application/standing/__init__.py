"""Standing commitments: entered and ended, kept in the journal, and what they and expected calls want of a plan."""
