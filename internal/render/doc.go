// Package render executes the templates of an ApplicationToken to make the data of its Secret. It
// also finds the token in data that it rendered before.
//
// Tenants write the templates, and they run inside the operator, so they can do little. They see
// the token's own values and call functions of a short list. They may loop only over those values,
// and may neither define templates nor call themselves. The result is bounded by MaxSize and must
// hold the token.
package render
