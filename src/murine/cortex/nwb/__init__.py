"""Recordings from NWB 2 files of any laboratory: units or ROI traces, with a table of the stimuli that were shown.

Only the HDF5 form of NWB is read, through h5py. `murine.cortex.allen` reads the Allen Institute's own files, with their
quality limits and labels.
"""

from murine.cortex.nwb.reading import read_nwb

__all__ = ["read_nwb"]
