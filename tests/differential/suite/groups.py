"""Loading the groups of cases, filling in their placeholders, and switching a group's feature off."""

import copy
import re
import tomllib

# The edits that switch a feature off when a group names none itself.
MIDDLEWARES_OFF = [{"path": "http.routers.*.middlewares"}, {"path": "http.services.*.middlewares"}]
ROUTES_OFF = [{"path": "http.routers"}]


def edits(feature):
    """The edits for a feature by its name; a matcher is once made to hold always and once never."""
    area, _, name = feature.partition(".")
    if area == "middlewares":
        return MIDDLEWARES_OFF
    if area in ("tcp", "udp"):
        return [{"path": f"{area}.routers"}]
    if area != "matchers":
        return ROUTES_OFF
    call = rf"\b{name}\((`[^`]*`|\"[^\"]*\"|[, ])*\)"
    rule = {"path": "http.routers.*.rule", "pattern": call}
    return [rule | {"with": "PathPrefix(`/`)"}, rule | {"with": "!PathPrefix(`/`)", "variant": "never"}]


class Group:
    """One file of cases: a feature, a configuration and the cases that are driven through it."""

    def __init__(self, path, root):
        self.name = str(path.relative_to(root).with_suffix(""))
        content = tomllib.loads(path.read_text())
        self.feature = content["feature"]
        self.host = content.get("host", "differ.test")
        self.install = content.get("install", {})
        self.routing = content.get("routing", {})
        self.backends = content.get("backends", {})
        self.again = content.get("again")
        self.settle = content.get("settle", 0)
        self.cases = content["case"]
        self.switch_off = content.get("switch_off") or edits(self.feature)
        names = [case["name"] for case in self.cases]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise SystemExit(f"{self.name}: case names used twice: {', '.join(sorted(twice))}")

    def variants(self):
        """The ways to switch the feature off, by name."""
        return list(dict.fromkeys(edit.get("variant", "off") for edit in self.switch_off))

    def configuration(self, variant):
        """The static and the dynamic configuration as trees, with the feature switched off in a way or on (None)."""
        trees = {"install": copy.deepcopy(self.install), "routing": copy.deepcopy(self.routing)}
        for edit in self.switch_off:
            if variant == edit.get("variant", "off"):
                switch(trees[edit.get("in", "routing")], edit["path"].split("."), edit)
        return trees["install"], trees["routing"]

    def uses(self, word):
        """Whether the configuration mentions a placeholder."""
        text = repr(self.routing) + repr(self.install)
        return f"<{word}>" in text or f"'service': '{word}'" in text or f"'name': '{word}'" in text


def switch(tree, path, edit):
    """Apply one edit at a path (`*` for every key): remove, set a value, or replace text by a pattern."""
    if not isinstance(tree, dict):
        return
    for key in list(tree) if path[0] == "*" else [path[0]]:
        if len(path) > 1:
            # A path that names one place may make it; one for every object changes what is there.
            below = tree.get(key) if "*" in edit["path"] else tree.setdefault(key, {})
            switch(below, path[1:], edit)
        elif "pattern" in edit:
            if key in tree:
                tree[key] = re.sub(edit["pattern"], edit["with"], tree[key])
        elif "set" in edit:
            tree[key] = edit["set"]
        else:
            tree.pop(key, None)


def fill(tree, words):
    """Replace every `<word>` in the texts of a tree."""
    if isinstance(tree, dict):
        return {fill(key, words): fill(value, words) for key, value in tree.items()}
    if isinstance(tree, list):
        return [fill(value, words) for value in tree]
    if isinstance(tree, str):
        return re.sub(r"<([a-z0-9_-]+)>", lambda found: words.get(found[1], found[0]), tree)
    return tree


def without_empty(tree):
    """A tree without its empty tables, which Traefik refuses in most places; a table that must stay is spelled `"<empty>"`."""
    if isinstance(tree, list):
        return [without_empty(value) for value in tree]
    if not isinstance(tree, dict):
        return {} if tree == "<empty>" else tree
    cleaned = {key: without_empty(value) for key, value in tree.items()}
    return {key: value for key, value in cleaned.items() if value != {} or tree[key] == "<empty>"}


def merge(base, over):
    """The tree `over` laid over `base`."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def load(root, only):
    """All groups below a folder; `only` keeps those whose path begins with it (a last part may name one case)."""
    groups = []
    for path in sorted(root.rglob("*.toml")):
        group = Group(path, root)
        if only and not group.name.startswith(only):
            wanted = [case for case in group.cases if f"{group.name}/{case['name']}" == only]
            if not wanted:
                continue
            group.cases = wanted
        groups.append(group)
    return groups
