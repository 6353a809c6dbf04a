"""The benchmark suite: greenserve beside its peers.  How to run and to read it: benchmarks/README.md."""
