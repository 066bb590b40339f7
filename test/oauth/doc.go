// Package oauth runs OAuth libraries against the endpoints: discovery, each grant, scopes,
// introspection, revocation and errors. The packages of npm are pinned by package-lock.json.
package oauth
