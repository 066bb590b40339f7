package login

import (
	"errors"
	"fmt"
	"time"

	"github.com/apptoken/operator/internal/record"
)

var (
	// ErrDenied says that whoever asks is not who they say: the name is unknown, the password wrong, the user suspended, the
	// refresh token used up. It never says which.
	ErrDenied = errors.New("the name or the password is wrong")
	// ErrUnavailable says that it cannot be told, or not be written, at the moment. Asking again can help.
	ErrUnavailable = errors.New("it cannot be done at the moment")
)

// Denied is ErrDenied of a refresh token whose session is known. The record is for the audit log alone.
type Denied struct{ Record record.Record }

func (*Denied) Error() string { return ErrDenied.Error() }

// Is reports whether a target is ErrDenied.
func (*Denied) Is(target error) bool { return target == ErrDenied }

// Limited says that a name, a source or a user asks too often.
type Limited struct {
	After time.Duration // when it is worth while to try again
}

func (l *Limited) Error() string {
	return fmt.Sprintf("too many attempts; try again in %s", l.After)
}

// Invalid says that a field of the request cannot be as it is, although its form is right.
type Invalid struct{ Field, Message string }

func (i *Invalid) Error() string { return i.Field + " " + i.Message }

// Forbidden says that whoever asks is known, and may not.
type Forbidden struct{ Message string }

func (f *Forbidden) Error() string { return f.Message }

// unavailable is what the store said, as ErrUnavailable.
func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }
