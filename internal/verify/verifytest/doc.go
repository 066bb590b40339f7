// Package verifytest holds the vectors to which every verification endpoint responds alike:
// credentials, the observed state, and the verdicts. They are in vectors.json, for other
// implementations too.
package verifytest
