// Package options decides how the operator is configured: its flags, their variables in the
// environment, and which values and combinations are valid.
//
//	arguments, environment --Parse--> Options, or an error that names what is invalid
//
// The package does not know what the options are for. It opens no file and no socket.
package options
