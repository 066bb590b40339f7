// Does what a program does with openid-client, and prints what came of it as JSON.
import * as client from "openid-client";
import { run } from "./steps.mjs";

const { asked, outcome, report } = await run();
const issuer = new URL(asked.issuer);
const discover = (auth) => client.discovery(issuer, asked.client, undefined, auth, { algorithm: "oauth2" });

const open = await discover(client.None());
report.token_endpoint = open.serverMetadata().token_endpoint;
const password = (scope, text = asked.password) =>
  client.genericGrantRequest(open, "password", { username: asked.username, password: text, ...scope });
const first = await password({ scope: "search.query search.update" });
const whole = await password({});
report.password = outcome(first);
report.whole = outcome(whole);
report.wrong_password = await outcome.error(password({}, "not it"));
report.wrong_scope = await outcome.error(password({ scope: "nothing.here" }));

const second = await client.refreshTokenGrant(open, first.refresh_token, { scope: "search.query" });
report.narrower = outcome(second);
const third = await client.refreshTokenGrant(open, second.refresh_token);
report.refreshed = outcome(third);

const own = {};
for (const [name, auth] of [["basic", client.ClientSecretBasic(asked.secret)], ["post", client.ClientSecretPost(asked.secret)]]) {
  own[name] = await discover(auth);
  report["client_" + name] = outcome(await client.clientCredentialsGrant(own[name], { scope: "search.query" }));
}
const access = await client.clientCredentialsGrant(own.basic);
report.client_whole = outcome(access);
const wrong = await discover(client.ClientSecretBasic("not it"));
report.wrong_secret = await outcome.error(client.clientCredentialsGrant(wrong));

const introspect = async (text) => outcome.introspection(await client.tokenIntrospection(own.basic, text));
report.introspected = await introspect(third.access_token);
report.introspected_access = await introspect(access.access_token);
await client.tokenRevocation(open, third.refresh_token);
await client.tokenRevocation(open, access.access_token);
report.revoked = await introspect(third.access_token);
report.revoked_access = await introspect(access.access_token);
report.replayed = await outcome.error(client.refreshTokenGrant(open, third.refresh_token));
console.log(JSON.stringify(report));
