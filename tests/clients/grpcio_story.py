"""The whole story over gRPC with grpcio, an independent implementation that learns the API by reflection.

Environment: CAUSEWAY_URL, and optionally CAUSEWAY_REFLECTION_TOKEN for a server whose reflection asks for one.
Prints one JSON object and exits 0; anything unexpected is a traceback and exit 1.
"""

import json
import os
import sys
import time
import uuid

import grpc
from mesh import Mesh, merkle_root

PASSWORD = f"correct horse {uuid.uuid4()}"
OFFERS = ["gold", "silver", "bronze"]
AUDIT_PATIENCE_SECONDS = 10
# What the story leaves in the log, in order; other entries may stand between.
EXPECTED = [
    "account.registered",
    "session.opened",
    "token.created",
    "secret.written",
    "llm.generated",
    "llm.generated",
    "scoring.model_created",
    "decision.made",
    "decision.responded",
]


def enter(mesh, name):
    """Registers a person with a workspace and logs in."""
    email = f"{name}-{uuid.uuid4()}@example.com"
    account = mesh.call("AuthService.Register", "", email=email, password=PASSWORD, workspace_name=f"{name}'s")
    session = mesh.call("AuthService.Login", "", email=email, password=PASSWORD)
    assert session["token_type"] == "Bearer" and session["workspace_id"] == account["workspace_id"], session
    me = mesh.call("AuthService.GetMe", session["access_token"])
    assert me["principal"]["id"] == account["user_id"] and "owner" in me["principal"]["roles"], me
    return {**account, "token": session["access_token"]}


def keep_credentials(mesh, ada):
    made = mesh.call("AuthService.CreateToken", ada["token"], name="story")
    pat = made["token"]["secret"]
    assert pat.startswith("cw_pat_") and pat.endswith(made["token"]["last_four"])
    listed = mesh.call("AuthService.ListTokens", ada["token"])
    assert pat not in json.dumps(listed), "the list holds the secret of a token"
    value = f"sk-{uuid.uuid4()}"
    stored = mesh.call("TenancyService.PutSecret", ada["token"], name="openai", kind="llm_provider", value=value)
    assert value not in json.dumps(stored), "the answer holds the secret's value"
    assert mesh.call("TenancyService.GetSecret", ada["token"], name="openai")["secret"]["kind"] == "llm_provider"
    return pat


def converse(mesh, pat):
    ask = {"model": "auto", "messages": [{"role": "user", "content": "Say why a causeway is useful."}]}
    answer = mesh.call("LlmService.Generate", pat, **ask)
    assert answer["content"] and answer["finish_reason"], answer
    pieces = mesh.stream("LlmService.GenerateStream", pat, request=ask)
    assert "".join(piece["delta"] for piece in pieces), "no text came"
    assert [bool(piece["finish_reason"]) for piece in pieces] == [False] * (len(pieces) - 1) + [True], pieces
    assert int(pieces[-1]["usage"]["output_tokens"]) > 0, pieces[-1]
    return {"provider": answer["provider"], "model": answer["model"], "pieces": len(pieces)}


def decide(mesh, token):
    offers = [{"offer_id": offer, "name": offer.title()} for offer in OFFERS]
    model = mesh.call("ScoringService.CreateModel", token, name="metals", kind="thompson", offers=offers)["model"]
    before = state(mesh, token, model["id"])
    decision = mesh.call("ScoringService.Recommend", token, customer_id="customer-1", model_id=model["id"])
    assert sorted(ranked["offer_id"] for ranked in decision["decisions"]) == sorted(OFFERS), decision
    best = decision["decisions"][0]
    outcome = {"recommendation_id": decision["recommendation_id"], "rank": 1, "outcome": "positive", "idempotency_key": "once"}
    assert mesh.call("ScoringService.Respond", token, **outcome)["counted"], "the first outcome counts"
    after = state(mesh, token, model["id"])
    assert after[best["offer_id"]]["alpha"] == before[best["offer_id"]]["alpha"] + 1, (before, after)
    assert all(after[offer]["beta"] == before[offer]["beta"] for offer in OFFERS), (before, after)
    return {"model_id": model["id"], "recommendation_id": decision["recommendation_id"], "chosen": best["offer_id"]}


def state(mesh, token, model):
    offers = mesh.call("ScoringService.GetModelState", token, id=model)["offers"]
    return {offer["offer_id"]: offer for offer in offers}


def entries(mesh, token):
    found, page = [], ""
    while True:
        answer = mesh.call("AuditService.ListEvents", token, page_size=1000, page_token=page)
        found += answer["entries"]
        page = answer["next_page_token"]
        if not page:
            return found


def prove(mesh, ada):
    """Reads the log and computes its root again from the leaves alone."""
    until = time.monotonic() + AUDIT_PATIENCE_SECONDS
    while True:
        root = mesh.call("AuditService.GetRoot", ada["token"])
        log = entries(mesh, ada["token"])
        size = int(root["size"])
        actions = [entry["event"]["action"] for entry in log[:size]]
        if contains_in_order(actions, EXPECTED):
            break
        assert time.monotonic() < until, f"the log lacks a step of {EXPECTED}: {actions}"
        time.sleep(0.1)
    assert [int(entry["seq"]) for entry in log] == list(range(len(log))), "the sequence has a gap"
    computed = merkle_root([entry["leaf"].encode() for entry in log[:size]]).hex()
    assert computed == root["root_hash"], f"the root is {computed}, the server says {root['root_hash']}"
    # A registration is made before there is a caller, so it need not name one.
    written = next(entry["event"] for entry in log if entry["event"]["action"] == "secret.written")
    assert written["actor_id"] == ada["user_id"], written
    assert mesh.call("AuditService.VerifyLog", ada["token"])["valid"], "the server finds its own log wanting"
    return {"size": size, "root_hash": computed, "actions": actions}


def contains_in_order(actions, expected):
    remaining = iter(actions)
    return all(action in remaining for action in expected)


def stay_apart(mesh, ada, story):
    """A second workspace sees none of it; nobody sees anything."""
    bob = enter(mesh, "bob")["token"]
    foreign = [
        ("TenancyService.GetWorkspace", {"id": ada["workspace_id"]}),
        ("TenancyService.GetSecret", {"name": "openai"}),
        ("ScoringService.GetModel", {"id": story["model_id"]}),
        ("ScoringService.GetModelState", {"id": story["model_id"]}),
        ("ScoringService.GetDecision", {"id": story["recommendation_id"]}),
    ]
    for name, fields in foreign:
        mesh.refused(grpc.StatusCode.NOT_FOUND, name, bob, **fields)
        mesh.refused(grpc.StatusCode.UNAUTHENTICATED, name, "", **fields)
    assert mesh.call("TenancyService.ListSecrets", bob)["secrets"] == []
    assert mesh.call("ScoringService.ListModels", bob)["models"] == []
    assert mesh.call("AuthService.ListTokens", bob)["tokens"] == []
    seen = json.dumps(entries(mesh, bob))
    for private in (ada["user_id"], ada["workspace_id"], story["model_id"], story["recommendation_id"]):
        assert private not in seen, f"{private} is in the log of a foreign workspace"
    return len(foreign)


def main():
    url = os.environ.get("CAUSEWAY_URL")
    if not url:
        sys.exit(f"{sys.argv[0]}: set CAUSEWAY_URL")
    mesh = Mesh(url, os.environ.get("CAUSEWAY_REFLECTION_TOKEN"))
    services = [name for name in mesh.services if name.startswith("causeway.")]
    ada = enter(mesh, "ada")
    pat = keep_credentials(mesh, ada)
    result = {"client": f"grpcio {grpc.__version__}", "services": services, "llm": converse(mesh, pat)}
    decision = decide(mesh, pat)
    result |= {"decision": decision, "audit": prove(mesh, ada), "foreign_refused": stay_apart(mesh, ada, decision)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
