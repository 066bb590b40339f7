package login

import (
	"slices"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// RetryWindow is how long after a refresh the used-up token may be presented once more. A client
// does so if it did not get the response. From then on, presenting it is a replay (RFC 9700,
// section 4.14.2).
const RetryWindow = 30 * time.Second

// finding is the state of a presented refresh token.
type finding int

const (
	nothing  finding = iota // the session does not exist, or has ended
	good                    // the current token
	retried                 // the previous token; the client that presents it may not have got the response
	replayed                // used up long ago
	early                   // used up or replaced just now, and not the previous token
)

// judge returns the state of a refresh token among the records of its session. For a token that may
// be exchanged it also returns the record to exchange. A session whose refresh tokens have all
// expired counts as none.
func judge(now time.Time, d token.Digest, family []record.Record) (finding, record.Record) {
	found, about := nothing, record.Record{}
	for _, r := range family {
		if !now.Before(r.Refresh.ExpiresAt) {
			continue
		}
		switch {
		case r.Refresh.Digest == d:
			return good, r
		case r.Refresh.Previous == d && now.Before(r.Refresh.PreviousUntil):
			if found != retried || r.Refresh.PreviousUntil.Before(about.Refresh.PreviousUntil) {
				found, about = retried, r
			}
		case found == retried:
		case slices.ContainsFunc(r.Refresh.Recent, func(u record.Recent) bool { return u.Digest == d && now.Before(u.Until) }):
			found = early
		case found == nothing:
			found = replayed
		}
	}
	return found, about
}

// carryOn notes in a new refresh token what came before it. That is the presented token, which may
// be retried, and the tokens of the replaced session that are still excused. r is the record that
// judge returned for the presented token.
func carryOn(now time.Time, next *record.Refresh, presented token.Digest, r record.Record, family []record.Record) {
	until := now.Add(RetryWindow)
	next.Previous, next.PreviousUntil = presented, until
	if presented != r.Refresh.Digest { // a retry: its window does not move
		next.PreviousUntil = r.Refresh.PreviousUntil
	}
	var excused []record.Recent
	for _, replaced := range family {
		f := replaced.Refresh
		excused = slices.Concat(excused, f.Recent, []record.Recent{{Digest: f.Previous, Until: f.PreviousUntil}, {Digest: f.Digest, Until: until}})
	}
	slices.SortStableFunc(excused, func(a, b record.Recent) int { return b.Until.Compare(a.Until) })
	known := map[token.Digest]bool{presented: true}
	for _, u := range excused {
		if now.Before(u.Until) && !known[u.Digest] && len(next.Recent) < record.MaxRecent {
			known[u.Digest], next.Recent = true, append(next.Recent, u)
		}
	}
}
