package login

import (
	"errors"
	"fmt"
	"time"

	"github.com/apptoken/operator/internal/record"
)

var (
	// ErrDenied reports that the caller is not authenticated: the name is unknown, the password
	// wrong, the user suspended, or the refresh token used up. It never says which.
	ErrDenied = errors.New("the name or the password is wrong")
	// ErrUnavailable reports that the operation cannot be decided, or not be written, at the
	// moment. A retry may help.
	ErrUnavailable = errors.New("the login cannot be served at the moment")
)

// Denied is ErrDenied for a refresh token whose session is known. The record is for the audit log
// alone.
type Denied struct{ Record record.Record }

func (*Denied) Error() string { return ErrDenied.Error() }

// Is reports whether a target is ErrDenied.
func (*Denied) Is(target error) bool { return target == ErrDenied }

// Limited reports that a name, a source or a user asks too often.
type Limited struct {
	After time.Duration // how long until a retry is worthwhile
}

func (l *Limited) Error() string {
	return fmt.Sprintf("too many attempts; try again in %s", l.After)
}

// Invalid reports that a field of the request has an unusable value, although its form is right.
type Invalid struct{ Field, Message string }

func (i *Invalid) Error() string { return i.Field + " " + i.Message }

// Forbidden reports that the caller is authenticated, but not allowed to do this.
type Forbidden struct{ Message string }

func (f *Forbidden) Error() string { return f.Message }

// unavailableError wraps an error of the API server in ErrUnavailable.
func unavailableError(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }
