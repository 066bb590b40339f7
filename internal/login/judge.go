package login

import (
	"slices"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// RetryWindow is how long after a refresh the token that was used up may be presented once more, as is done by whoever did
// not get the answer. From then on presenting it is a theft (RFC 9700, 4.14.2).
const RetryWindow = 30 * time.Second

// finding is what a presented refresh token turns out to be.
type finding int

const (
	nothing  finding = iota // of no session that there is, or at its end
	good                    // the one that is to be used next
	retried                 // the one before, and whoever presents it may not have got the answer
	replayed                // used up long ago
	early                   // used up or replaced just now, and not the one before
)

// judge says what a refresh token is, among the records of its session, and the record that one which may be exchanged is
// about. It is the rule by which refresh tokens live. A session whose refresh tokens are all at their end is none.
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

// carryOn says in a new refresh token what came before it: the one that was presented, which may be retried, and what is
// excused beside it of the session whose place it takes. r is the record that the one that was presented is about.
func carryOn(now time.Time, next *record.Refresh, presented token.Digest, r record.Record, family []record.Record) {
	until := now.Add(RetryWindow)
	next.Previous, next.PreviousUntil = presented, until
	if presented != r.Refresh.Digest { // once more: what it may be presented until does not move
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
