"""Opens a session as a program does that uses Requests, and prints what came of it as JSON.

Where to and as whom is read from standard input: {"url", "username", "password"}.
"""

import json
import sys

import requests

asked = json.load(sys.stdin)
session = requests.Session()
opened = session.get(asked["url"] + "/security/rest/token/access/session/60", auth=(asked["username"], asked["password"]), timeout=30)
said = {"opened": opened.status_code, **opened.json()}
bearer = {"Authorization": "Bearer " + said["access_token"]}
said["with"] = session.get(asked["url"] + "/verify", headers=bearer, timeout=30).status_code
said["without"] = requests.get(asked["url"] + "/verify", headers=bearer, timeout=30).status_code
said["logout"] = session.get(asked["url"] + "/security/rest/token/logout", headers=bearer, timeout=30).status_code
cookie = {"SESSION": said["session"]}
said["after"] = requests.get(asked["url"] + "/verify", headers=bearer, cookies=cookie, timeout=30).status_code
if session.cookies:
    sys.exit("the session that was logged out of is kept: " + ", ".join(session.cookies.keys()))
json.dump(said, sys.stdout)
