//! Planning and running queries through a session over tables in memory.
