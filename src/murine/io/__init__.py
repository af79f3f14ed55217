"""Files, processes and formats: files that appear whole, safe readers, HDF5, isolated processes."""
