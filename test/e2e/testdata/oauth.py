"""Asks an authorization server by the ordinary calls of Authlib, and prints what came of it as JSON.

What to ask is read from standard input: {"issuer", "client_id", "client_secret", "method", "token", "revoke"}.
"""

import json
import sys

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url

asked = json.load(sys.stdin)
metadata = AuthorizationServerMetadata(requests.get(get_well_known_url(asked["issuer"], external=True), timeout=30).json())
for name in ("token_endpoint", "response_types_supported"):
    # RFC 8414 wants what belongs to a server that grants tokens by OAuth. This one does not.
    setattr(metadata, "validate_" + name, lambda: None)
metadata.validate()
session = OAuth2Session(asked["client_id"], asked["client_secret"], token_endpoint_auth_method=asked["method"])
said = {"issuer": metadata["issuer"]}
answer = session.introspect_token(metadata["introspection_endpoint"], token=asked["token"], token_type_hint="access_token")
said["introspection"] = {"status": answer.status_code, "body": answer.json()}
if asked["revoke"]:
    answer = session.revoke_token(metadata["revocation_endpoint"], token=asked["token"], token_type_hint="access_token")
    said["revocation"] = {"status": answer.status_code}
json.dump(said, sys.stdout)
