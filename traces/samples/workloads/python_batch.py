"""Index the standard library: parse each file (ast), scan it (re), write the index as JSON, read it back, query it.

A batch job as it is written every day: files come and go, results grow, intermediate trees are dropped.
"""
import ast
import json
import pathlib
import re
import sysconfig

MODULES = "ast calendar configparser csv fractions gettext heapq http/server json/decoder json/encoder locale shutil".split()

WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ASSIGNMENT = re.compile(r"^\s*(\w+)\s*=\s*(.+?)\s*(?:#.*)?$", re.MULTILINE)
COMMENT = re.compile(r"#\s*(.*)$", re.MULTILINE)


def functions_of(tree):
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield {
                "name": node.name,
                "line": node.lineno,
                "kind": type(node).__name__,
                "doc": (ast.get_docstring(node) or "").split("\n")[0],
                "arguments": [a.arg for a in node.args.args] if hasattr(node, "args") else [],
                "calls": sorted({n.func.id for n in ast.walk(node)
                                 if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}),
            }


def index_file(path):
    text = path.read_text(encoding="utf-8")
    counts = {}
    for word in WORD.findall(text):
        counts[word] = counts.get(word, 0) + 1
    return {
        "file": path.name,
        "functions": list(functions_of(ast.parse(text))),
        "assignments": [[m.group(1), m.group(2)] for m in ASSIGNMENT.finditer(text)],
        "comments": COMMENT.findall(text),
        "words": counts,
    }


def main():
    folder = pathlib.Path(sysconfig.get_paths()["stdlib"])
    files = [folder / (name + ".py") for name in MODULES]
    index = {}
    for path in files:
        index[str(path.relative_to(folder))] = index_file(path)
        if len(index) % 4 == 0:  # a checkpoint, as long jobs write them
            index = json.loads(json.dumps(index))
    text = json.dumps(index, indent=1, sort_keys=True)
    total = {}
    for entry in json.loads(text).values():
        for word, count in entry["words"].items():
            total[word] = total.get(word, 0) + count
    common = sorted(total.items(), key=lambda item: (-item[1], item[0]))[:5]
    print(len(text), len(total), common)


main()
