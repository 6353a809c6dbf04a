"""The tests of greenserve.  How they are ordered: docs/architecture.md, "Tests"."""
