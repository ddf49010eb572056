"""This machine: processor, memory, temperatures, power, other programs, caches."""
