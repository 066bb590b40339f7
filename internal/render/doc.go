// Package render turns the templates of an ApplicationToken into the data of its Secret, and finds the token again in
// data that it once made.
//
// Templates are written by tenants and run inside the operator, so they can do little: they see the token's own values,
// call functions of a short list, and may not loop over anything but those values, define templates or call themselves.
// What they make is bounded by MaxSize, and has to hold the token.
package render
