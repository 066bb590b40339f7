package apierr

import (
	"errors"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/apptoken/operator/internal/record"
)

// IsRejected reports whether the API server decided about a request, as opposed to being
// unreachable, too slow or failing.
func IsRejected(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsForbidden(err) ||
		apierrors.IsInvalid(err) || apierrors.IsNotFound(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err)
}

// IsRefused reports whether the API server refuses a write for good: a repetition would be refused
// too.
func IsRefused(err error) bool {
	return IsRejected(err) && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err)
}

// IsStale reports whether err means that what was read is out of date, so that only another read
// helps.
func IsStale(err error) bool {
	return apierrors.IsConflict(err) || errors.Is(err, record.ErrStale)
}

// IsConflict reports whether err means only that what was read is out of date. That is expected
// where two writers compete, and the next pass reads again.
func IsConflict(err error) bool {
	switch e := err.(type) { //nolint:errorlint // each level of the tree counts
	case nil:
		return false
	case interface{ Unwrap() []error }:
		parts := e.Unwrap()
		return len(parts) > 0 && !slices.ContainsFunc(parts, func(part error) bool { return !IsConflict(part) })
	case interface{ Unwrap() error }:
		return IsConflict(e.Unwrap())
	default:
		return IsStale(err)
	}
}
