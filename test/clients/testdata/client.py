"""Logs in to the four systems as a program does that uses Requests.

Standard input has the address, the file with its CA, and two users, one value a line. The program
prints a line of JSON for each step.
"""

import json
import os
import sys

import requests

url, ca, username, password, second_username, second_password = sys.stdin.read().splitlines()
form = {"username": username, "password": password}
basic = (username, password)


def ask(step, method, path, session=None, **options):
    """Sends a request, and prints its status."""
    session = session or requests.Session()
    session.trust_env = step.startswith("netrc: call")  # or else Requests sends the password of .netrc each time
    answer = session.request(method, url + path, timeout=30, verify=ca, **options)
    line = {"step": step, "status": answer.status_code}
    if "Retry-After" in answer.headers:
        line["retryAfter"] = int(answer.headers["Retry-After"])
    print(json.dumps(line), flush=True)
    return answer


def bearer(token):
    return {"Authorization": "Bearer " + token}


def funnelback():
    login = ask("funnelback: log in", "POST", "/admin-api/account/v1/login?remember-me=true", data=form)
    token = {"X-Security-Token": login.headers["X-Security-Token"]}
    ask("funnelback: call with the token", "GET", "/verify", headers=token)
    jar = requests.Session()
    ask("funnelback: log in, to be remembered by cookie", "POST", "/admin-api/account/v1/login?remember-me=true", jar, data=form)
    ask("funnelback: call with the cookie alone", "GET", "/verify", jar)
    report = "/admin-api/application-tokens/v1/application-token/report"
    empty = {"Content-Type": "application/json"}
    created = ask("funnelback: create an application token", "PUT", report, auth=basic, headers=empty)
    ask("funnelback: create it again", "PUT", report, auth=basic, headers=empty)
    ask("funnelback: list application tokens", "GET", report.removesuffix("/report"), headers=token)
    application = {"X-Security-Token": created.json()["data"]}
    ask("funnelback: call with the application token", "GET", "/verify", headers=application)
    ask("funnelback: delete the application token", "DELETE", report, auth=basic)
    ask("funnelback: call with the deleted token", "GET", "/verify", headers=application)


def squiz_dxp():
    crawler = "/application-tokens/v1/clients/acme/application-token/crawler"
    created = ask("squiz dxp: create a token of a client", "PUT", crawler, auth=basic, json={"roles": ["client~primary"]})
    ask("squiz dxp: call with the token", "GET", "/verify", headers={"X-Security-Token": created.json()["data"]})
    ask("squiz dxp: delete the token", "DELETE", crawler, auth=basic)


def teletracker():
    login = ask("teletracker: log in with a form", "POST", "/auth/login", data=form).json()
    ask("teletracker: log in with JSON", "POST", "/auth/login", json=form)
    parts = {name: (None, value) for name, value in form.items()}
    ask("teletracker: log in with multipart", "POST", "/auth/login", files=parts)
    ask("teletracker: call with the token", "GET", "/verify", headers=bearer(login["token"]))
    ask("an hour passes", "POST", "/test/hour")
    ask("teletracker: call with the expired token", "GET", "/verify", headers=bearer(login["token"]))
    renewed = ask("teletracker: refresh", "POST", "/auth/refresh", data={"refresh_token": login["refreshToken"]}).json()
    ask("teletracker: call with the new token", "GET", "/verify", headers=bearer(renewed["token"]))
    ask("teletracker: call with Basic", "GET", "/verify", auth=basic)
    integrator = requests.auth._basic_auth_str(*basic).replace("Basic", "Integrator")
    at_account = {"Authorization": integrator}
    ask("teletracker: Integrator at an account", "POST", "/auth/login", headers=at_account, data={"account_id": 2002})
    ask("teletracker: Integrator without an account", "POST", "/auth/login", headers=at_account)


def spectrum():
    session = requests.Session()  # keeps the cookie SESSION
    opened = ask("spectrum: get a session token", "GET", "/security/rest/token/access/session/60", session, auth=basic).json()
    token = bearer(opened["access_token"])
    ask("spectrum: call with the cookie", "GET", "/verify", session, headers=token)
    ask("spectrum: call without the cookie", "GET", "/verify", headers=token)
    ask("spectrum: log out", "GET", "/security/rest/token/logout", session, headers=token)
    ask("spectrum: call after the logout", "GET", "/verify", session, headers=token)
    opened = ask("spectrum: get an open token", "GET", "/security/rest/token/access/60", auth=basic).json()
    ask("spectrum: call with the open token", "GET", "/verify", headers=bearer(opened["access_token"]))
    letters = (second_username, second_password)  # Requests encodes a str in Latin-1
    ask("spectrum: get an open token, with letters beyond ASCII", "GET", "/security/rest/token/access/60", auth=letters)


def failures():
    ask("failures: a wrong password", "GET", "/security/rest/token/access/5", auth=(username, "wrong"))
    wrong = {"username": second_username, "password": "wrong"}
    for _ in range(11):
        ask("failures: too many attempts", "POST", "/auth/login", data=wrong)
    ask("an hour passes", "POST", "/test/hour")
    right = {"username": second_username, "password": second_password}
    ask("failures: log in after the wait", "POST", "/auth/login", data=right)


def netrc():
    """Calls with a token. Requests adds the password of another user, which .netrc has."""
    login = ask("netrc: log in", "POST", "/account/v1/login", data=form)
    token = {"X-Security-Token": login.headers["X-Security-Token"]}
    ask("netrc: call with a token", "GET", "/verify", headers=token)
    ask("netrc: call the management API with a token", "GET", "/application-tokens/v1/application-token", headers=token)


funnelback()
squiz_dxp()
teletracker()
spectrum()
failures()
netrc()
