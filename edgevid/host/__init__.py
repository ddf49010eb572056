"""This machine: processor, memory, temperatures, power, other programs, files and caches."""
