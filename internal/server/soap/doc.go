// Package soap serves the SOAP services of the Spectrum Technology Platform that issue and end
// tokens, for programs that were written for them: TokenManagerService and TokenLogoutService, with
// their WSDL documents. docs/login-protocols/spectrum.md describes each exchange.
//
//	POST  ->  envelope  ->  operation  ->  login core of loginapi  ->  envelope or fault
//
// It decides which XML is read, and how an answer and a fault look in SOAP 1.1 and SOAP 1.2. It
// knows nothing of users, passwords and tokens: loginapi.Logins authenticates the caller, opens
// logins and ends them, as for the REST resources of the same protocol. XML is read strictly and
// within bounds, without document types and without entities of the caller. No text of a request
// is part of a fault.
package soap
