// Calls the services of Spectrum with the npm package soap, whose clients are made from a WSDL
// document. It reads {url, username, password} and writes what it got; see result in
// clients_test.go.
import { readFileSync } from "node:fs";
import soap from "soap";

const { url, username, password } = JSON.parse(readFileSync(0, "utf8"));
const result = { tokens: {}, faults: {}, statuses: {} };

const manager = async (isSOAP12, secret) => {
  const client = await soap.createClientAsync(`${url}/security/TokenManagerService?wsdl`, { forceSoap12Headers: isSOAP12 });
  client.setSecurity(new soap.BasicAuthSecurity(username, secret));
  return client;
};
const refused = async (what, call) => {
  try {
    await call();
  } catch (err) {
    result.faults[what] = `${err.response.status} ${err.message}`;
  }
};
const get = async (path, headers) => (await fetch(url + path, { headers })).status;

for (const [version, isSOAP12] of [["SOAP 1.1", false], ["SOAP 1.2", true]]) {
  const client = await manager(isSOAP12, password);
  const [service] = Object.values(client.describe());
  for (const operation of Object.keys(Object.values(service)[0])) {
    const parameters = operation.includes("Expiring") ? { tokenLifeInMinutes: 5 } : {};
    try {
      const [answer] = await client[`${operation}Async`](parameters);
      result.tokens[`${version} ${operation}`] = answer.return;
    } catch (err) {
      result.faults[`${version} ${operation}`] = `${err.response.status} ${err.message}`;
    }
  }
  await refused(`${version} wrong lifetime`, () => client.getAccessExpiringTokenAsync({ tokenLifeInMinutes: "5 hours" }));
  const stranger = await manager(isSOAP12, "wrong");
  await refused(`${version} wrong password`, () => stranger.getAccessTokenAsync({}));

  const [{ return: held }] = await client.getAccessExpiringTokenAsync({ tokenLifeInMinutes: 5 });
  result.tokens[`${version} ended`] = held;
  const bearer = { Authorization: `Bearer ${held.token}` };
  const session = { Cookie: `SESSION=${held.session}` };
  result.statuses[`${version} with its session`] = await get("/verify", { ...bearer, ...session });
  result.statuses[`${version} without a session`] = await get("/verify", bearer);
  const logout = await soap.createClientAsync(`${url}/security/TokenLogoutService?wsdl`, { forceSoap12Headers: isSOAP12 });
  logout.addHttpHeader("Authorization", bearer.Authorization);
  logout.addHttpHeader("Cookie", session.Cookie);
  await logout.logoutAsync({});
  result.statuses[`${version} logged out`] = await get("/verify", { ...bearer, ...session });
  await refused(`${version} second logout`, () => logout.logoutAsync({}));
}
console.log(JSON.stringify(result));
