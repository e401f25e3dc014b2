"""What the benchmarks stand on: programs, servers, clients, and the table."""
