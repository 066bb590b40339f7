package login

import (
	"net/netip"
	"sync"
	"time"

	"k8s.io/utils/lru"
)

const (
	// A network from which a name logged in is known for this long: long enough for a program that
	// logs in once a day.
	knownSourceTime = 48 * time.Hour
	// maxKnownSources is how many networks are known for one name. So a user who logs in from many
	// addresses does not make the networks of other users forgotten.
	maxKnownSources = 8
	// maxKnownNames is how many names are remembered. Each has logged in, so an attacker without a
	// password adds none.
	maxKnownNames = 10_000
)

// knownSources remembers the networks from which names logged in lately. Failures from other
// networks, however many, do not lock a user out there (NIST SP 800-63B, section 5.2.2). It is lost
// when the replica restarts. It is safe for concurrent use.
type knownSources struct {
	mu     sync.Mutex
	byName *lru.Cache // []knownSource by name, the latest first
}

type knownSource struct {
	network netip.Prefix
	at      time.Time
}

func newKnownSources() *knownSources {
	return &knownSources{byName: lru.New(maxKnownNames)}
}

// contains reports whether a name logged in from a network lately. An unknown address is never
// known: all callers of unknown address share it.
func (k *knownSources) contains(now time.Time, name string, network netip.Prefix) bool {
	if !network.IsValid() {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.find(name) {
		if s.network == network && now.Sub(s.at) < knownSourceTime {
			return true
		}
	}
	return false
}

// add remembers that a name logged in from a network.
func (k *knownSources) add(now time.Time, name string, network netip.Prefix) {
	if !network.IsValid() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	next := []knownSource{{network, now}}
	for _, s := range k.find(name) {
		if s.network != network && len(next) < maxKnownSources {
			next = append(next, s)
		}
	}
	k.byName.Add(name, next)
}

// find returns the networks of a name.
func (k *knownSources) find(name string) []knownSource {
	found, _ := k.byName.Get(name)
	all, _ := found.([]knownSource)
	return all
}
