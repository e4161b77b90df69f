"""Write the tables at the end of docs/tasks.md from the catalog: `python docs/tasks_table.py`."""

from pathlib import Path

from tunewright.cli.tasks import cluster_table
from tunewright.tasks.catalog import catalog_entry
from tunewright.tasks.shared_templates import set_names, template_set

PAGE = Path(__file__).with_name("tasks.md")
MARK = "<!-- below: python docs/tasks_table.py -->\n"


def tables() -> str:
    """A table of the sets of templates, and one a cluster of its tasks."""
    lines = [
        "",
        "## Sets of templates",
        "",
        "| set | reads | templates | turned round | about |",
        "|---|---|---|---|---|",
    ]
    for name in set_names():
        found = template_set(name)
        turned = sum(key.startswith("inverted-") for key in found.templates)
        lines.append(
            f"| {name} | {', '.join(found.fields)} | {len(found.templates)} | {turned or ''} | {found.about} |"
        )
    lines += ["", "## Clusters and their tasks", ""]
    for cluster in cluster_table():
        lines += [f"### {cluster['cluster']}", "", f"{cluster['templates']} templates that differ.", ""]
        lines += ["| task | about | kind | templates | from | licence |", "|---|---|---|---|---|---|"]
        for name in cluster["tasks"]:
            entry = catalog_entry(name)
            if entry.hub is not None:
                source = (
                    entry.hub
                    if isinstance(entry.hub, str)
                    else " ".join(filter(None, (entry.hub.id, entry.hub.config)))
                )
                source = f"hub: {source}"
            elif entry.package is not None:
                source = f"package: {entry.package.name}"
            else:
                source = f"repository: {entry.origin}" if entry.origin else "made here"
            only = " (evaluation only)" if entry.evaluation_only else ""
            cells = [name + only, entry.about, entry.kind, str(len(entry.templates)), source, entry.licence]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    text, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    PAGE.write_text(text + MARK + tables(), encoding="utf-8")
