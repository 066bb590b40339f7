// Does what a program does with oauth4webapi, and prints what came of it as JSON.
import * as oauth from "oauth4webapi";
import { run } from "./steps.mjs";

const { asked, outcome, report } = await run();
const issuer = new URL(asked.issuer);
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: "oauth2" }));
report.token_endpoint = server.token_endpoint;
const client = { client_id: asked.client };

async function password(parameters, text = asked.password) {
  const fields = new URLSearchParams({ username: asked.username, password: text, ...parameters });
  const response = await oauth.genericTokenEndpointRequest(server, client, oauth.None(), "password", fields);
  return oauth.processGenericTokenEndpointResponse(server, client, response);
}
const first = await password({ scope: "search.query search.update" });
report.password = outcome(first);
report.whole = outcome(await password({}));
report.wrong_password = await outcome.error(password({}, "not it"));
report.wrong_scope = await outcome.error(password({ scope: "nothing.here" }));

async function refresh(text, parameters = {}) {
  const response = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), text, { additionalParameters: parameters });
  return oauth.processRefreshTokenResponse(server, client, response);
}
const second = await refresh(first.refresh_token, { scope: "search.query" });
report.narrower = outcome(second);
const third = await refresh(second.refresh_token);
report.refreshed = outcome(third);

async function credentials(auth, parameters = {}) {
  const response = await oauth.clientCredentialsGrantRequest(server, client, auth, parameters);
  return oauth.processClientCredentialsResponse(server, client, response);
}
const basic = oauth.ClientSecretBasic(asked.secret);
report.client_basic = outcome(await credentials(basic, { scope: "search.query" }));
report.client_post = outcome(await credentials(oauth.ClientSecretPost(asked.secret), { scope: "search.query" }));
const access = await credentials(basic);
report.client_whole = outcome(access);
report.wrong_secret = await outcome.error(credentials(oauth.ClientSecretBasic("not it")));

async function introspect(text) {
  const response = await oauth.introspectionRequest(server, client, basic, text);
  return outcome.introspection(await oauth.processIntrospectionResponse(server, client, response));
}
const revoke = async (text) => oauth.processRevocationResponse(await oauth.revocationRequest(server, client, oauth.None(), text));
report.introspected = await introspect(third.access_token);
report.introspected_access = await introspect(access.access_token);
await revoke(third.refresh_token);
await revoke(access.access_token);
report.revoked = await introspect(third.access_token);
report.revoked_access = await introspect(access.access_token);
report.replayed = await outcome.error(refresh(third.refresh_token));
console.log(JSON.stringify(report));
