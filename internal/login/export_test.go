package login

import "slices"

// Judge exports the rule for refresh tokens.
var Judge = judge

// Finding is the result of Judge.
type Finding = finding

const (
	Nothing  = nothing
	Good     = good
	Retried  = retried
	Replayed = replayed
	Early    = early
)

// Limits.
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

// HoldChecks blocks all password checks until release is called.
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

// Unseen returns how many stored logins this replica's cache does not show yet.
func (s *Service) Unseen() (n int) {
	s.fresh.mu.Lock()
	defer s.fresh.mu.Unlock()
	for _, rs := range s.fresh.of {
		n += len(rs)
	}
	return n
}

// StandIns returns the names of the users whose passwords are decoys for unknown names.
func (d *Directory) StandIns() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Clone(d.standIns)
}
