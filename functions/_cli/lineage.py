"""A lineage for a person: as a tree, or as a Graphviz document (https://graphviz.org/doc/info/lang.html)."""

import json
from collections.abc import Iterator
from typing import Any

from functions._cli.output import short


def tree(answer: dict[str, Any]) -> str:
    """A tree from the oldest ancestors down; an asset with several parents is written out below the first."""
    nodes = {node["id"]: node for node in answer["nodes"]}
    children: dict[str, list[str]] = {id_: [] for id_ in nodes}
    for node in answer["nodes"]:
        for parent in node["parents"]:
            children.setdefault(parent, []).append(node["id"])
    seen: set[str] = set()

    def below(id_: str, lead: str) -> Iterator[str]:
        last = len(children[id_]) - 1
        for position, child in enumerate(children[id_]):
            branch, bar = ("└── ", "    ") if position == last else ("├── ", "│   ")
            known = child in seen
            seen.add(child)
            yield lead + branch + _line(nodes[child], answer["subject"]) + (" (see above)" if known else "")
            if not known:
                yield from below(child, lead + bar)

    lines: list[str] = []
    for id_, node in nodes.items():
        if not any(parent in nodes for parent in node["parents"]):
            lines += [_line(node, answer["subject"]), *below(id_, "")]
    return "\n".join(lines)


def _line(node: dict[str, Any], subject: str) -> str:
    mark = "  ←" if node["id"] == subject else ""
    revoked = "  revoked" if node.get("revoked") else ""
    return (
        f"{node['kind']} {node['name']}  {short(node['id'])}  {node['address'] or 'not on the ledger'}{revoked}{mark}"
    )


def dot(answer: dict[str, Any]) -> str:
    """A directed graph from parents to children."""
    lines = ["digraph lineage {", "  node [shape=box];"]
    for node in answer["nodes"]:
        label = "\n".join(
            [node["kind"], node["name"], short(node["id"]), *(["revoked"] if node.get("revoked") else [])]
        )
        bold = ", style=bold" if node["id"] == answer["subject"] else ""
        lines.append(f"  {_quoted(node['id'])} [label={_quoted(label)}{bold}];")
    for node in answer["nodes"]:
        lines += [f"  {_quoted(parent)} -> {_quoted(node['id'])};" for parent in node["parents"]]
    return "\n".join([*lines, "}"])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
