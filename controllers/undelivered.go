package controllers

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/token"
)

// undelivered keeps the token of a version while its Secret is being written. Where the API server gives no answer, the
// next attempt is with the same token, so that attempts leave no records behind that could be taken for versions which
// somebody holds. A crash loses what is kept here; the sweep takes the one record that is then left. The zero value is
// empty and ready.
type undelivered struct {
	mu sync.Mutex
	of map[types.UID]token.Token
}

func (u *undelivered) keep(at *v1alpha1.ApplicationToken, tok token.Token) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of == nil {
		u.of = map[types.UID]token.Token{}
	}
	u.of[at.UID] = tok
}

func (u *undelivered) forget(at *v1alpha1.ApplicationToken) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.of, at.UID)
}

// recall returns the token that was kept, if its record is there and no Secret has ever been seen to name it. A record
// that is gone is never made again, and a token that was delivered is never given out as a new one.
func (u *undelivered) recall(at *v1alpha1.ApplicationToken, s *seen) (token.Token, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	tok, kept := u.of[at.UID]
	if !kept {
		return token.Token{}, false
	}
	name := tok.Digest().RecordName()
	rec, there := s.records[name]
	holder := s.holder()
	if there && rec.SupersededAt.IsZero() && (holder == nil || !holdsRecord(holder, rec)) {
		return tok, true
	}
	delete(u.of, at.UID)
	return token.Token{}, false
}
