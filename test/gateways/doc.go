// Package gateways holds the tests of the pages about gateways. The configurations that the pages
// show make real gateways behave as the pages state, before a real upstream and with real
// endpoints.
package gateways
