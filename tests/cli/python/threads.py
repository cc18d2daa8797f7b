"""Threads that hand objects to each other, so that blocks are freed by others than made them; the interpreter's lock
puts all into one order."""
import ctypes
import json
import queue
import sys
import threading

library = ctypes.PyDLL(sys.argv[1])
library.stats_mark.argtypes = [ctypes.c_size_t]
mark_bytes = int(sys.argv[2])
sys.setswitchinterval(0.0002)
handed = queue.Queue(maxsize=50)


def make(name):
    for i in range(400):
        handed.put([{"%s%d" % (name, k): [k, str(i), float(k)]} for k in range(40)])
    handed.put(None)


def take(kept, ends):
    for _ in range(ends):
        for batch in iter(handed.get, None):
            kept.append(json.loads(json.dumps(batch[:4])))
            if len(kept) % 100 == 0:
                library.stats_mark(mark_bytes)


kept = []
makers = [threading.Thread(target=make, args=(name,)) for name in "abcd"]
taker = threading.Thread(target=take, args=(kept, len(makers)))
for thread in makers + [taker]:
    thread.start()
for thread in makers + [taker]:
    thread.join()
library.stats_mark(mark_bytes)
