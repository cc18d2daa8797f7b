"""Dies by kill -9 in the middle of its work: what the recording knows of its arenas must be all the same."""
import ctypes
import os
import signal
import sys

library = ctypes.PyDLL(sys.argv[1])
library.stats_mark.argtypes = [ctypes.c_size_t]
mark_bytes = int(sys.argv[2])
kept = []
for i in range(60000):
    kept.append([{i: str(i)}, (i, [i])])
    if i % 15000 == 7:
        library.stats_mark(mark_bytes)
        del kept[::3]
library.stats_mark(mark_bytes)
os.kill(os.getpid(), signal.SIGKILL)
