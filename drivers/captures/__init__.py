"""Recorded input that the demo plays back and `gateway try` decodes; the format stands in `gateway.driver.captures`."""
