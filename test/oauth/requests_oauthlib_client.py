"""Does what a program does with requests-oauthlib, and prints what came of it as JSON. The library
has neither discovery, introspection nor revocation, which the script does by itself."""

import requests
from oauthlib.oauth2 import BackendApplicationClient, LegacyApplicationClient, OAuth2Error
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from steps import asked, finish, introspection, outcome, well_known

metadata = requests.get(well_known(asked["issuer"]), timeout=30).json()
token_endpoint = metadata["token_endpoint"]
report = {"token_endpoint": token_endpoint}
user = {"username": asked["username"], "password": asked["password"]}


def error(request, *arguments, **fields):
    try:
        request(*arguments, **fields)
    except OAuth2Error as refused:
        return refused.error
    return "none"


def session(scope=None, **options):
    return OAuth2Session(client=LegacyApplicationClient(client_id=asked["client"], scope=scope), scope=scope, **options)


# The library raises a warning where the scope of the answer is another one than it asked for.
narrow = session(["search.query", "search.update"])
first = dict(narrow.fetch_token(token_endpoint, include_client_id=True, **user))
report["password"] = outcome(first)
report["whole"] = outcome(session().fetch_token(token_endpoint, **user))
report["wrong_password"] = error(session().fetch_token, token_endpoint, **dict(user, password="not it"))
report["wrong_scope"] = error(session(["nothing.here"]).fetch_token, token_endpoint, **user)

second = dict(session(["search.query"]).refresh_token(token_endpoint, refresh_token=first["refresh_token"]))
report["narrower"] = outcome(second)
third = dict(session().refresh_token(token_endpoint, refresh_token=second["refresh_token"]))
report["refreshed"] = outcome(third)


def credentials(scope=None, **how):
    by = OAuth2Session(client=BackendApplicationClient(client_id=asked["client"], scope=scope), scope=scope)
    return by.fetch_token(token_endpoint, **how)


basic = HTTPBasicAuth(asked["client"], asked["secret"])
report["client_basic"] = outcome(credentials(["search.query"], auth=basic))
report["client_post"] = outcome(credentials(["search.query"], client_secret=asked["secret"], include_client_id=True))
access = dict(credentials(auth=basic))
report["client_whole"] = outcome(access)
report["wrong_secret"] = error(credentials, auth=HTTPBasicAuth(asked["client"], "not it"))


def introspect(text):
    return introspection(requests.post(metadata["introspection_endpoint"], data={"token": text}, auth=basic, timeout=30).json())


report["introspected"] = introspect(third["access_token"])
report["introspected_access"] = introspect(access["access_token"])

# The session refreshes by itself: the token has expired.
replaced = []
auto = OAuth2Session(asked["client"], token=dict(third, expires_in=-1, expires_at=1), auto_refresh_url=token_endpoint,
                     auto_refresh_kwargs={"client_id": asked["client"]}, token_updater=replaced.append)
report["auto_refreshed"] = [auto.get(asked["issuer"] + "/verify").status_code, len(replaced)]
last = replaced[0] if replaced else third

for text in (last["refresh_token"], access["access_token"]):
    requests.post(metadata["revocation_endpoint"], data={"token": text, "client_id": asked["client"]}, timeout=30).raise_for_status()
report["revoked"] = introspect(last["access_token"])
report["revoked_access"] = introspect(access["access_token"])
report["replayed"] = error(session().refresh_token, token_endpoint, refresh_token=last["refresh_token"])
finish(report)
