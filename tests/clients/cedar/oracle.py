"""Decides requests by Cedar policies that know nothing of our code: what a built-in role holds is read from the reviewed
matrix, all other rules are written here. Requests come as JSON lines; the answer is one line of 1 (allowed) and 0.
"""

import json
import sys

import cedarpy

MATRIX = sys.argv[1]
ABOVE = {"viewer": [], "editor": ["viewer"], "admin": ["editor"], "owner": ["admin"]}
AT_ONCE = 5_000

RULES = """
// A custom role holds what its workspace put into it.
permit (principal == Member::"custom", action, resource)
when { context.granted.contains(context.asked) };

// About the caller itself.
permit (principal, action == Action::"any", resource);

// Nobody acts outside of the workspace of its credential.
forbid (principal, action, resource) unless { context.home == context.named };

forbid (principal, action, resource) unless { context.callers.contains(context.kind) };

// A narrowed credential does what it says and no more.
forbid (principal, action, resource)
when { context.scoped && !context.scopes.contains(context.asked) }
unless { action == Action::"any" };

// Where the workspace demands a second factor, whatever has effects asks for it; where a person has one, what is marked.
forbid (principal, action, resource)
when { context.person && !context.passed && !context.without_mfa }
unless {
    !(context.demanded && (context.effects || context.marked)) && !(context.enrolled && context.marked)
};
"""


def policies() -> str:
    lines = open(MATRIX, encoding="utf-8").read().splitlines()
    roles = lines[0].split("\t")[1:]
    granted = []
    for line in lines[1:]:
        permission, *holds = line.split("\t")
        lowest = roles[holds.index("yes")]
        granted.append(
            f'permit (principal in Role::"{lowest}", action == Action::"{permission}", resource);'
        )
    return "\n".join(granted) + RULES


def entities() -> list:
    named = lambda kind, name: {"type": kind, "id": name}
    entity = lambda uid, parents: {"uid": uid, "attrs": {}, "parents": parents}
    roles = [entity(named("Role", role), [named("Role", below) for below in ABOVE[role]]) for role in ABOVE]
    members = [entity(named("Member", role), [named("Role", role)]) for role in ABOVE]
    return roles + members


def main() -> None:
    rules = cedarpy.PolicySet.from_str(policies())
    known = cedarpy.Entities.from_json_str(json.dumps(entities()))
    requests = [
        {
            "principal": {"type": "Member", "id": asked["role"]},
            "action": {"type": "Action", "id": asked["context"]["asked"]},
            "resource": {"type": "Rpc", "id": asked["rpc"]},
            "context": asked["context"],
        }
        for asked in map(json.loads, sys.stdin)
    ]
    answers = []
    for start in range(0, len(requests), AT_ONCE):
        decided = cedarpy.is_authorized_batch(requests[start : start + AT_ONCE], rules, known)
        for one in decided:
            if one.diagnostics.errors:
                sys.exit(f"a policy does not evaluate: {one.diagnostics.errors}")
            answers.append("1" if one.allowed else "0")
    print("".join(answers))


main()
