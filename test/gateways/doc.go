// Package gateways holds the tests of the pages about gateways: what they tell to paste makes a real gateway do what they
// say, in front of a real upstream and asking real doors.
package gateways
