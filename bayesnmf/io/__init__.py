"""From files and objects of each field to a matrix of samples x features, and results back to them."""

from ._anndata import read_h5ad as read_h5ad
from ._anndata import to_anndata as to_anndata
from ._deeplabcut import read_deeplabcut as read_deeplabcut
from ._matlab import read_mat as read_mat
from ._mne import from_mne as from_mne
from ._mne import read_eeg as read_eeg
from ._mutations import read_mutations as read_mutations
from ._netcdf import read_netcdf as read_netcdf
from ._nifti import read_nifti as read_nifti
from ._nifti import to_nifti as to_nifti
from ._numpy import read_numpy as read_numpy
from ._nwb import read_nwb as read_nwb
from ._nwb import write_nwb as write_nwb
from ._parquet import read_parquet as read_parquet
from ._pynapple import from_pynapple as from_pynapple
from ._pynapple import read_pynapple as read_pynapple
from ._pynapple import to_pynapple as to_pynapple
from ._read import read as read
from ._recording import Recording as Recording
from ._spikes import read_spikes as read_spikes
from ._tensor import unfold as unfold
from ._tenx import read_10x as read_10x
from ._text import read_text as read_text
