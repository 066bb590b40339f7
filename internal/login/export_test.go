package login

import "slices"

// What the tests see of the rule by which refresh tokens live.
var Judge = judge

// Finding is what it finds.
type Finding = finding

const (
	Nothing  = nothing
	Good     = good
	Retried  = retried
	Replayed = replayed
	Early    = early
)

// Bounds.
const (
	NameBurst, NameEvery       = nameBurst, nameEvery
	AddressBurst, AddressEvery = addressBurst, addressEvery
	WaitingFor, LongestWait    = waitingFor, longestWait
	SureReads                  = sureReads
	ReadBurst, ReadEvery       = readBurst, readEvery
	SuccessBurst, SuccessEvery = successBurst, successEvery
	ExchangeBurst              = exchangeBurst
	SessionBurst, SessionEvery = sessionBurst, sessionEvery
	NotSeen                    = notSeen
	RushHour                   = rushHour
)

// HoldChecks lets no password be checked until release.
func (s *Service) HoldChecks() (release func()) {
	for range cap(s.uncounted) {
		s.uncounted <- struct{}{}
	}
	return func() {
		for range cap(s.uncounted) {
			<-s.uncounted
		}
	}
}

// Unseen is how many logins this replica stored and does not see yet.
func (s *Service) Unseen() (n int) {
	s.fresh.mu.Lock()
	defer s.fresh.mu.Unlock()
	for _, rs := range s.fresh.of {
		n += len(rs)
	}
	return n
}

// StandIns are the names of the users whom unknown names are checked against.
func (d *Directory) StandIns() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Clone(d.standIns)
}
