"""A script that fills and drains arenas: JSON, syntax trees, cycles, what a long-lived heap leaves. It prints the
interpreter's statistics at points of its own. Runs on every Python from 3.8 on."""
import ast
import ctypes
import gc
import json
import sys

library = ctypes.PyDLL(sys.argv[1])
library.stats_mark.argtypes = [ctypes.c_size_t]
mark_bytes = int(sys.argv[2])


def mark():
    if not library.stats_mark(mark_bytes):
        sys.exit("no statistics to be had")


class Node:
    def __init__(self, parent):
        self.parent = parent
        self.children = []


def tree(depth, parent=None):
    node = Node(parent)
    if depth:
        node.children = [tree(depth - 1, node) for _ in range(3)]
    return node


mark()
rows = [{"key%d" % i: [i, str(i), {"x": i * 1.5}]} for i in range(9000)]
text = json.dumps(rows)
again = json.loads(text)
mark()
source = "\n".join("x%d = [%d, 'a%d', f(%d)]" % (i, i, i, i) for i in range(600))
syntax = ast.parse(source)
compile(syntax, "x", "exec")
mark()
survivors = rows[::97]
del rows
forest = [tree(6) for _ in range(12)]
mark()
del forest, syntax
gc.collect()
mark()
del again
table = {i: (i, [i]) for i in range(20000)}
for i in range(0, 20000, 3):
    del table[i]
blobs = [bytes(i % 500) for i in range(30000)]
mark()
del table, blobs[::2]
gc.collect()
mark()
