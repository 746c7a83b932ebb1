"""Reading of journal bodies: every field checked, and named where it is not what it has to be."""
