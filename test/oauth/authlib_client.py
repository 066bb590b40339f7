"""Does what a program does with Authlib, and prints what came of it as JSON."""

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import get_well_known_url

from steps import asked, finish, introspection, outcome

metadata = requests.get(get_well_known_url(asked["issuer"], external=True), timeout=30).json()
token_endpoint = metadata["token_endpoint"]
report = {"token_endpoint": token_endpoint}
user = {"username": asked["username"], "password": asked["password"], "grant_type": "password"}


def session(**options):
    return OAuth2Session(asked["client"], token_endpoint=token_endpoint, **options)


def error(request, *arguments, **fields):
    try:
        request(*arguments, **fields)
    except OAuthError as refused:
        return refused.error
    return "none"


def public(**options):
    return session(token_endpoint_auth_method="none", **options)


narrow = public(scope="search.query search.update")
first = dict(narrow.fetch_token(**user))
report["password"] = outcome(first)
report["whole"] = outcome(public().fetch_token(**user))
report["wrong_password"] = error(public().fetch_token, **dict(user, password="not it"))
report["wrong_scope"] = error(public(scope="nothing.here").fetch_token, **user)

second = dict(narrow.refresh_token(token_endpoint, refresh_token=first["refresh_token"], scope="search.query"))
report["narrower"] = outcome(second)
third = dict(public().refresh_token(token_endpoint, refresh_token=second["refresh_token"]))
report["refreshed"] = outcome(third)


def credentials(secret, method, **options):
    by = OAuth2Session(asked["client"], secret, token_endpoint=token_endpoint, token_endpoint_auth_method=method, **options)
    return by.fetch_token(grant_type="client_credentials")


report["client_basic"] = outcome(credentials(asked["secret"], "client_secret_basic", scope="search.query"))
report["client_post"] = outcome(credentials(asked["secret"], "client_secret_post", scope="search.query"))
access = dict(credentials(asked["secret"], "client_secret_basic"))
report["client_whole"] = outcome(access)
report["wrong_secret"] = error(credentials, "not it", "client_secret_basic")

by = OAuth2Session(asked["client"], asked["secret"], token_endpoint_auth_method="client_secret_basic")


def introspect(text):
    return introspection(by.introspect_token(metadata["introspection_endpoint"], token=text).json())


report["introspected"] = introspect(third["access_token"])
report["introspected_access"] = introspect(access["access_token"])

# The session refreshes by itself: the token is about to expire.
replaced = []
auto = public(token=dict(third, expires_at=1), update_token=lambda token, refresh_token=None, access_token=None: replaced.append(token))
report["auto_refreshed"] = [auto.get(asked["issuer"] + "/verify").status_code, len(replaced)]
last = replaced[0] if replaced else third

public().revoke_token(metadata["revocation_endpoint"], token=last["refresh_token"], token_type_hint="refresh_token").raise_for_status()
public().revoke_token(metadata["revocation_endpoint"], token=access["access_token"], token_type_hint="access_token").raise_for_status()
report["revoked"] = introspect(last["access_token"])
report["revoked_access"] = introspect(access["access_token"])
report["replayed"] = error(public().refresh_token, token_endpoint, refresh_token=last["refresh_token"])
finish(report)
