"""Calibration of quotes: windows quoted for nobody, judged by the meters, and the law of errors learnt from them."""
