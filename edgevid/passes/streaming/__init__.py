"""A graph of whole clips becomes one of single frames with states: what each operator needs for that."""
