"""requests-oauthlib, as it comes, against the OAuth endpoints of a running gateway.

Environment: CAUSEWAY_URL, CAUSEWAY_CLIENT_ID, CAUSEWAY_CLIENT_SECRET (of a client with the scopes `secrets.read` and
`secrets.write`), CAUSEWAY_REFRESH_TOKEN (of a person's session).
Prints one JSON object and exits 0; anything unexpected is a traceback and exit 1.
"""

import json
import os
import sys

import oauthlib.oauth2
from oauthlib.oauth2 import BackendApplicationClient, LegacyApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session


def setting(name):
    value = os.environ.get(name)
    if not value:
        sys.exit(f"{sys.argv[0]}: set {name}")
    return value


BASE = setting("CAUSEWAY_URL").rstrip("/")
TOKEN_URL = BASE + "/auth/token"
CLIENT_ID, CLIENT_SECRET = setting("CAUSEWAY_CLIENT_ID"), setting("CAUSEWAY_CLIENT_SECRET")
# The gateway under test speaks plain HTTP on this machine.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"


def machine(scope=None):
    return OAuth2Session(client=BackendApplicationClient(client_id=CLIENT_ID, scope=scope))


def use(session):
    answer = session.get(BASE + "/v1/secrets", timeout=30)
    assert answer.status_code == 200, answer.text


def by_basic():
    session = machine()
    token = session.fetch_token(TOKEN_URL, auth=HTTPBasicAuth(CLIENT_ID, CLIENT_SECRET), timeout=30)
    assert token["token_type"] == "Bearer" and token["expires_in"] == 900 and "refresh_token" not in token, token
    use(session)
    return sorted(token["scope"])


def by_body():
    session = machine(["secrets.read"])
    token = session.fetch_token(TOKEN_URL, client_secret=CLIENT_SECRET, include_client_id=True, timeout=30)
    use(session)
    return sorted(token["scope"])


def refused():
    try:
        machine().fetch_token(TOKEN_URL, auth=HTTPBasicAuth(CLIENT_ID, "wrong"), timeout=30)
    except oauthlib.oauth2.InvalidClientError as error:
        return error.status_code
    raise AssertionError("a wrong secret got a token")


def refreshed():
    client = LegacyApplicationClient(client_id="a browser")
    session = OAuth2Session(client=client, token={"refresh_token": setting("CAUSEWAY_REFRESH_TOKEN"), "access_token": "-"})
    first = session.refresh_token(TOKEN_URL, timeout=30)
    second = session.refresh_token(TOKEN_URL, timeout=30)
    assert first["refresh_token"] != second["refresh_token"], "the token rotates"
    use(session)
    return second["token_type"]


print(json.dumps({"by_basic": by_basic(), "by_body": by_body(), "refused": refused(), "refreshed": refreshed()}))
