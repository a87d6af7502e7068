"""What came out, measured: metrics, plots and the report page."""
