"""Conversion of a graph of clips to one of single frames with states, with a rule for each operator."""
