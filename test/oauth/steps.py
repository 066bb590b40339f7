"""What the scripts share: their input, and how they report the outcome of a step."""

import json
import sys
from urllib.parse import urlsplit

asked = json.load(sys.stdin)


def outcome(response):
    scope = response.get("scope")
    return {
        "type": response["token_type"].lower(),
        "kind": response["access_token"][:4],
        "scope": " ".join(scope) if isinstance(scope, list) else scope,
        "refreshable": "refresh_token" in response,
    }


def introspection(response):
    return {"active": response["active"], "scope": response.get("scope"), "client": response.get("client_id")}


def well_known(issuer):
    at = urlsplit(issuer)
    return at.scheme + "://" + at.netloc + "/.well-known/oauth-authorization-server" + at.path


def finish(report):
    json.dump(report, sys.stdout)
