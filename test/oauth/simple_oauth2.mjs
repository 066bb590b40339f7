// Does what a program does with simple-oauth2, and prints what came of it as JSON. The library has
// neither discovery nor introspection, which the script does by itself.
import { ClientCredentials, ResourceOwnerPassword } from "simple-oauth2";
import { run } from "./steps.mjs";

const { asked, outcome, report } = await run();
const issuer = new URL(asked.issuer);
const path = issuer.pathname === "/" ? "" : issuer.pathname;
const metadata = await (await fetch(issuer.origin + "/.well-known/oauth-authorization-server" + path)).json();
report.token_endpoint = metadata.token_endpoint;

const configure = (secret, options) => ({
  client: { id: asked.client, secret },
  auth: { tokenHost: issuer.origin, tokenPath: path + "/oauth2/token", revokePath: path + "/oauth2/revoke" },
  options,
});
const user = { username: asked.username, password: asked.password };
const open = new ResourceOwnerPassword(configure("", { authorizationMethod: "header" }));
const first = await open.getToken({ ...user, scope: ["search.query", "search.update"] });
report.password = outcome(first.token);
report.whole = outcome((await open.getToken(user)).token);
report.wrong_password = await outcome.error(open.getToken({ ...user, password: "not it" }));
report.wrong_scope = await outcome.error(open.getToken({ ...user, scope: "nothing.here" }));

const second = await first.refresh({ scope: "search.query" });
report.narrower = outcome(second.token);
const third = await second.refresh();
report.refreshed = outcome(third.token);

const scope = { scope: "search.query" };
const basic = new ClientCredentials(configure(asked.secret, { authorizationMethod: "header", bodyFormat: "json" }));
const post = new ClientCredentials(configure(asked.secret, { authorizationMethod: "body" }));
report.client_basic = outcome((await basic.getToken(scope)).token);
report.client_post = outcome((await post.getToken(scope)).token);
const access = await basic.getToken();
report.client_whole = outcome(access.token);
const wrong = new ClientCredentials(configure("not it", { authorizationMethod: "header" }));
report.wrong_secret = await outcome.error(wrong.getToken());

async function introspect(text) {
  const response = await fetch(metadata.introspection_endpoint, {
    method: "POST",
    headers: { authorization: "Basic " + btoa(asked.client + ":" + asked.secret) },
    body: new URLSearchParams({ token: text }),
  });
  return outcome.introspection(await response.json());
}
report.introspected = await introspect(third.token.access_token);
report.introspected_access = await introspect(access.token.access_token);
await third.revoke("refresh_token");
await access.revoke("access_token");
report.revoked = await introspect(third.token.access_token);
report.revoked_access = await introspect(access.token.access_token);
report.replayed = await outcome.error(third.refresh());
console.log(JSON.stringify(report));
