"""The whole problem as one Pyomo model, solved by HiGHS."""
