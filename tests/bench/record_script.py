"""What ./dev bench record runs under CPython: json, ast and regular expressions, about 17 million allocator events."""
import ast
import json
import re
import sys

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 52

records = [{"id": i, "name": f"user{i}", "tags": [f"t{i % 7}", f"t{i % 11}"], "score": i * 0.5,
            "address": {"street": f"{i} Main Street", "zip": str(10000 + i)}} for i in range(1500)]
source = "\n".join(f"def f{i}(a, b={i}):\n    x = [a + j * {i} for j in range(b) if j % 3]\n"
                   f"    return {{'k{i}': x, 'l': (a, b, '{i}')}}\n" for i in range(150))
text = " ".join(f"{r['name']}@host{r['id'] % 50}.example.org, {r['address']['street']};" for r in records)
word = re.compile(r"(\w+)@(\w+)\.example\.org")

total = 0
for _ in range(ROUNDS):
    total += len(json.loads(json.dumps(records)))
    total += sum(1 for _ in ast.walk(ast.parse(source)))
    total += len(word.findall(text)) + len(word.sub(r"\2 at \1", text).split())
print(total)
