package login

import (
	"slices"
)

// EvaluateRefresh exports the rule for refresh tokens.
var EvaluateRefresh = evaluateRefresh

// RefreshState is the result of EvaluateRefresh.
type RefreshState = refreshState

const (
	RefreshUnknown  = refreshUnknown
	RefreshCurrent  = refreshCurrent
	RefreshRetried  = refreshRetried
	RefreshReplayed = refreshReplayed
	RefreshEarly    = refreshEarly
)

// Limits.
const (
	NameBurst, NameEvery             = nameBurst, nameEvery
	AddressBurst, AddressEvery       = addressBurst, addressEvery
	NameTotalBurst, NameTotalEvery   = nameTotalBurst, nameTotalEvery
	KnownSourceTime, MaxKnownSources = knownSourceTime, maxKnownSources
	MaxWaitingPerCheck, MaxCheckWait = maxWaitingPerCheck, maxCheckWait
	LiveReadsPerSecond               = liveReadsPerSecond
	SourceReadBurst, SourceReadEvery = sourceReadBurst, sourceReadEvery
	SuccessBurst, SuccessEvery       = successBurst, successEvery
	ExchangeBurst                    = exchangeBurst
	SessionBurst, SessionEvery       = sessionBurst, sessionEvery
	MaxCacheDelay                    = maxCacheDelay
	BurstWindow                      = burstWindow
	MaxCheckAge, MaxUncountedMisses  = maxCheckAge, maxUncountedMisses
	MaxRecentChecks                  = recentSets * recentWays
)

// HoldChecks blocks all password checks until release is called.
func (s *Service) HoldChecks() (release func()) {
	for range cap(s.uncountedChecks) {
		s.uncountedChecks <- struct{}{}
	}
	return func() {
		for range cap(s.uncountedChecks) {
			<-s.uncountedChecks
		}
	}
}

// Unlisted returns how many stored logins this replica's cache does not show yet.
func (s *Service) Unlisted() (n int) {
	s.unlisted.mu.Lock()
	defer s.unlisted.mu.Unlock()
	for _, rs := range s.unlisted.byUser {
		n += len(rs)
	}
	return n
}

// Decoys returns the names of the users whose passwords are decoys for unknown names.
func (d *Directory) Decoys() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Clone(d.decoys)
}

// RecentChecks returns how many recent checks are kept, whether or not they have ended.
func (s *Service) RecentChecks() (n int) {
	for i := range s.recent.sets {
		for j := range s.recent.sets[i] {
			if s.recent.sets[i][j].Load() != nil {
				n++
			}
		}
	}
	return n
}

// Remember keeps an attempt as one that was found right.
func (s *Service) Remember(a Attempt, u User) { s.remember(a, u) }

// SharedChecks returns how many requests wait for shared checks.
func (s *Service) SharedChecks() (waiting int) {
	s.shared.mu.Lock()
	defer s.shared.mu.Unlock()
	for _, c := range s.shared.running {
		waiting += c.waiting
	}
	return waiting
}
