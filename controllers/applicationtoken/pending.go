package applicationtoken

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/tokenspec"
)

// tokenMemory keeps tokens by the uid of their owners. The zero value is empty and ready.
type tokenMemory struct {
	mu      sync.Mutex
	byToken map[types.UID]token.Token
}

func (m *tokenMemory) keep(at *v1alpha1.ApplicationToken, tok token.Token) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byToken == nil {
		m.byToken = map[types.UID]token.Token{}
	}
	m.byToken[at.UID] = tok
}

func (m *tokenMemory) forget(at *v1alpha1.ApplicationToken) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byToken, at.UID)
}

func (m *tokenMemory) get(at *v1alpha1.ApplicationToken) (token.Token, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	tok, kept := m.byToken[at.UID]
	return tok, kept
}

// pendingVersion returns the kept token and its record if the record exists and no Secret has been
// observed to name it. Otherwise it forgets the token: a record that is gone is never created
// again, and a token that was delivered is never delivered as a new one.
func (p *pass) pendingVersion() (record.Record, token.Token, bool) {
	tok, kept := p.pendingTokens.get(p.at)
	if !kept {
		return record.Record{}, token.Token{}, false
	}
	rec, there := p.records[tok.Digest().RecordName()]
	holder := p.holder()
	if there && rec.SupersededAt.IsZero() && (holder == nil || !tokenspec.HoldsRecord(holder, rec)) {
		return rec, tok, true
	}
	p.pendingTokens.forget(p.at)
	return record.Record{}, token.Token{}, false
}
