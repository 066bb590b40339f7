// Package operatortest is the fixture for tests of the reconcilers, of the management API and of
// the event handlers on a real API server. It knows how the parts of the operator are put together,
// and what must hold after every write. It runs no part by itself: a test starts each pass, and
// steps the clock.
//
//	Fixture --NewOperator--> Operator                 the reconcilers of tokens and records
//	        --NewUserOperator--> UserOperator         the reconcilers of users and logins
//	        --NewManagementReplica--> ManagementReplica
//	        --Faults--> Faults                        an API server that fails at one call
//
// Each package of tests has an API server of its own, which Main starts.
package operatortest
