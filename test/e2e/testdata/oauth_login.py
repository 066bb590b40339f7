"""Logs in by the ordinary calls of Authlib, refreshes, introspects and revokes, and prints what came of it as JSON.

Where to and as whom is read from standard input: {"issuer", "username", "password", "client_id", "introspector"}.
"""

import json
import sys

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url

asked = json.load(sys.stdin)
metadata = AuthorizationServerMetadata(requests.get(get_well_known_url(asked["issuer"], external=True), timeout=30).json())
# RFC 8414 wants the list to be there. It is empty, since there is no authorization endpoint; Authlib wants something in it.
if metadata["response_types_supported"] != []:
    sys.exit("response_types_supported: %r" % metadata["response_types_supported"])
metadata.validate_response_types_supported = lambda: None
metadata.validate()
said = {"issuer": metadata["issuer"], "token_endpoint": metadata["token_endpoint"], "grants": metadata["grant_types_supported"]}


def login():
    # A public client, by its name alone.
    return OAuth2Session(asked["client_id"], token_endpoint_auth_method="none", token_endpoint=metadata["token_endpoint"])


session = login()
try:
    session.fetch_token(username=asked["username"], password="not " + asked["password"], grant_type="password")
except OAuthError as refused:
    said["wrong"] = refused.error
first = dict(session.fetch_token(username=asked["username"], password=asked["password"], grant_type="password"))
said["first"] = first
said["verified"] = session.get(asked["issuer"] + "/verify").status_code
second = dict(session.refresh_token(metadata["token_endpoint"], refresh_token=first["refresh_token"]))
said["second"] = second
said["refreshed"] = session.get(asked["issuer"] + "/verify").status_code

by = OAuth2Session(asked["client_id"], asked["introspector"], token_endpoint_auth_method="client_secret_basic")
for name, token in (("before", first["access_token"]), ("now", second["access_token"])):
    answer = by.introspect_token(metadata["introspection_endpoint"], token=token, token_type_hint="access_token")
    answer.raise_for_status()
    said[name] = answer.json()

answer = login().revoke_token(metadata["revocation_endpoint"], token=second["refresh_token"], token_type_hint="refresh_token")
said["revoked"] = answer.status_code
said["after"] = by.introspect_token(metadata["introspection_endpoint"], token=second["access_token"]).json()
try:
    session.refresh_token(metadata["token_endpoint"], refresh_token=second["refresh_token"])
except OAuthError as refused:
    said["over"] = refused.error
json.dump(said, sys.stdout)
