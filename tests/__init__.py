"""All tests; the parts that several of them share are in `support`."""
