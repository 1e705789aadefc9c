"""The ground that compiled CPU code stands on: numba's compiler, its disk cache, and threads.

numba's own parallel layer is not used anywhere: it kills forked `DataLoader` workers, changes
torch's number of threads, and loads a second OpenMP. Kernels are serial, release the GIL, and are
called over ranges by a pool of our own. Nothing here imports numba before it is needed.
"""
