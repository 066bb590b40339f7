package server

import "time"

// Hurry shortens the time that a peer has to send its headers, and its whole request.
func (l *Listener) Hurry(most time.Duration) { l.slowest = most }

// Required reads what the query of a question requires.
var Required = required
