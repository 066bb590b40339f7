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

// refreshState is the state of a presented refresh token.
type refreshState int

const (
	refreshUnknown  refreshState = iota // the session does not exist, or has ended
	refreshCurrent                      // the current token
	refreshRetried                      // the previous token; the client that presents it may not have got the response
	refreshReplayed                     // used up long ago
	refreshEarly                        // used up or replaced just now, and not the previous token
)

// evaluateRefresh returns the state of a refresh token among the records of its session. For a
// token that may be exchanged it also returns the record to exchange. A session whose refresh
// tokens have all expired counts as none.
func evaluateRefresh(now time.Time, d token.Digest, family []record.Record) (refreshState, record.Record) {
	found, about := refreshUnknown, record.Record{}
	for _, r := range family {
		if !now.Before(r.Refresh.ExpiresAt) {
			continue
		}
		switch {
		case r.Refresh.Digest == d:
			return refreshCurrent, r
		case r.Refresh.Previous == d && now.Before(r.Refresh.PreviousUntil):
			if found != refreshRetried || r.Refresh.PreviousUntil.Before(about.Refresh.PreviousUntil) {
				found, about = refreshRetried, r
			}
		case found == refreshRetried:
		case slices.ContainsFunc(r.Refresh.Recent, func(u record.Recent) bool { return u.Digest == d && now.Before(u.Until) }):
			found = refreshEarly
		case found == refreshUnknown:
			found = refreshReplayed
		}
	}
	return found, about
}

// carryOverExcused notes in the refresh token of a new record what came before it. That is the
// presented token, which may be retried, and the tokens of the replaced session that are still
// excused. r is the record that evaluateRefresh returned for the presented token.
func carryOverExcused(minted *record.Record, presented token.Digest, r record.Record, family []record.Record) {
	now, next := minted.IssuedAt, minted.Refresh
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
