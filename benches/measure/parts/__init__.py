"""The parts of a run of benches/run, each in a file of its own: `measure(bench)` gives lines of the table."""
