"""Pages that people have written, and the programs that write the others out of the code."""
