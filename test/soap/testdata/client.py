"""Calls the services of Spectrum with Zeep, whose clients are made from a WSDL document.

It reads {url, username, password} and writes what it got; see result in clients_test.go.
"""
import json
import sys

import requests
import zeep
from zeep.transports import Transport

asked = json.load(sys.stdin)
url = asked["url"]
tokens, faults, statuses = {}, {}, {}


def client(path, password=None):
    session = requests.Session()
    if password:
        session.auth = (asked["username"], password)
    return zeep.Client(url + path, transport=Transport(session=session)), session


def refused(what, call):
    try:
        call()
    except zeep.exceptions.Fault as fault:
        faults[what] = fault.code + " " + fault.message


def get(path, held, cookies=None):
    headers = {"Authorization": "Bearer " + held["token"]}
    return requests.get(url + path, headers=headers, cookies=cookies).status_code


# The document in the namespace of Pitney Bowes, and that of Precisely, which it imports.
for name, query in (("", "?wsdl"), (" of Precisely", "?wsdl=precisely")):
    wsdl, session = client("/security/TokenManagerService" + query, asked["password"])
    stranger, _ = client("/security/TokenManagerService" + query, "wrong")
    out, out_session = client("/security/TokenLogoutService" + query)
    for version, port in (("SOAP 1.1", "TokenManagerServiceImplPort"), ("SOAP 1.2", "TokenManagerServiceImplPort12")):
        version += name
        service = wsdl.bind("TokenManagerServiceImplService", port)
        for operation in () if name else sorted(service._binding.all()):
            lifetime = [5] if "Expiring" in operation else []
            try:
                issued = getattr(service, operation)(*lifetime)
                tokens[version + " " + operation] = zeep.helpers.serialize_object(issued, dict)
            except zeep.exceptions.Fault as fault:
                faults[version + " " + operation] = fault.code + " " + fault.message
        refused(version + " wrong lifetime", lambda: service.getAccessExpiringToken(tokenLifeInMinutes=-5))
        refused(version + " wrong password", lambda: stranger.bind("TokenManagerServiceImplService", port).getAccessToken())

        held = zeep.helpers.serialize_object(service.getAccessExpiringToken(5), dict)
        tokens[version + " ended"] = held
        cookies = {"SESSION": held["session"]}
        statuses[version + " with its session"] = get("/verify", held, cookies)
        statuses[version + " without a session"] = get("/verify", held)
        out_session.headers["Authorization"] = "Bearer " + held["token"]
        out_session.cookies.clear()
        out_session.cookies.update(cookies)
        logout = out.bind("TokenLogoutServiceImplService", port.replace("Manager", "Logout"))
        logout.logout()
        statuses[version + " logged out"] = get("/verify", held, cookies)
        refused(version + " second logout", logout.logout)

json.dump({"tokens": tokens, "faults": faults, "statuses": statuses}, sys.stdout)
