package tokenapi

// Examples of bodies and headers in the OpenAPI document. They hold no credential: tokens and
// passwords are shortened to an ellipsis.

var exampleView = tokenView{
	Name: "ci-deploy", Namespace: "apptoken-system", Object: "ci-deploy-1b1d8a0a5e4b4a0c9c6b", Client: "acme",
	ID: "at-1b1d8a0a5e4b4a0c9c6b7f7a2f0f1e11", Hint: "…A2A5", State: "Active", Ready: true, Reason: "Delivered",
	Roles: []string{"primary"}, Permissions: []string{"search.query"}, SourceRanges: []string{},
	Lifetime: "720h", IssuedAt: "2026-03-01T12:00:00Z", ExpiresAt: "2026-03-31T12:00:00Z",
	LastUsedAt: "2026-03-02T08:30:00Z", LastUsedFrom: "10.1.2.3",
}

var exampleOfUserView = tokenView{
	Name: "laptop", Namespace: "apptoken-system", Object: "laptop-9c6b7f7a2f0f1e111b1d", Client: "acme", User: "alice",
	ID: "at-9c6b7f7a2f0f1e111b1d8a0a5e4b4a0c", Hint: "…x7Qd", State: "Active", Ready: true, Reason: "Delivered",
	Roles: []string{}, Permissions: []string{}, SourceRanges: []string{},
	Lifetime: "720h", IssuedAt: "2026-03-01T12:00:00Z", ExpiresAt: "2026-03-31T12:00:00Z",
}

var exampleOfUserMade = issuedTokenResponse{Data: new("atu_…"), Username: "acme~laptop", Password: "atu_…", Token: exampleOfUserView}

var exampleOfUserWanted = createTokenBody{Lifetime: new("720h")}

var exampleMade = issuedTokenResponse{Data: new("ata_…"), Username: "acme~ci-deploy", Password: "ata_…", Token: exampleView}

var exampleWanted = createTokenBody{Roles: []string{"primary"}, Permissions: []string{"search.query"}, Lifetime: new("720h")}

var exampleChange = changeTokenBody{State: new("Suspended")}
