"""Money of a settlement: programmes, their terms, and shares of operators and sites."""
