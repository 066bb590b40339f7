package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/apptoken/operator/api/v1alpha1"
	"github.com/apptoken/operator/internal/desk"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// Desk makes, shows, changes and ends tokens for whoever asks through the HTTP API, on every replica at the same time.
//
// A token that is made here is an ApplicationToken of delivery Response in the operator's own namespace. Its annotation
// apptoken.dev/record names the record of its current version, and is written last, by the resource version of the object:
// that decides who of many has made the version. Before, nobody was told of it; what is left of a crash is litter. After
// it, the answer is given whatever else fails: what is still to be done is done by the reconciler too.
//
// A context says how long the API server is waited for. Who has one that ends with the connection of the caller leaves more
// to the reconciler than is needed.
type Desk struct {
	Client    client.Client // reads may be from a cache
	Live      client.Reader // reads are from the API server
	Records   *record.Kube
	Quota     *Quota
	Namespace string // the operator's own, in which the records are
	Now       func() time.Time
	Entropy   io.Reader
	Events    events.EventRecorder
	Ended     func(token.Digest)      // is told of each credential that was ended here
	Used      func(token.Digest) bool // says whether this replica has seen the credential in use

	LastOutage func() time.Time // when the API server last did not answer this replica; nil: never
}

var _ desk.Desk = (*Desk)(nil)

// mostTries bounds how often a write is tried that somebody else came before.
const mostTries = 32

// mostUnheard bounds how often a write is repeated that there was no answer to.
const mostUnheard = 2

func (d *Desk) lookout() lookout { return lookout{d.Client, d.Live, d.Records} }

func (d *Desk) now() time.Time { return d.Now().Truncate(time.Second) } // what records can hold

// unavailable is err where that is of those that a caller of the desk knows, or else says that it could not be done.
func unavailable(err error) error {
	known := []error{nil, desk.ErrMissing, desk.ErrTaken, desk.ErrDone, desk.ErrSuperseded, desk.ErrUnavailable}
	_, refused := errors.AsType[*desk.Refused](err)
	_, denied := errors.AsType[*desk.Denied](err)
	_, soon := errors.AsType[*desk.TooSoon](err)
	if refused || denied || soon || slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
		return err
	}
	return fmt.Errorf("%w: %w", desk.ErrUnavailable, err)
}

func refused(field, format string, args ...any) error {
	return &desk.Refused{Field: field, Message: fmt.Sprintf(format, args...)}
}

// declaredMark is between namespace and name of a token that is not made here. No name that is given here has it.
const declaredMark = ":"

var givenName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,62}$`)

var unfit = regexp.MustCompile(`[^a-z0-9]+`)

// objectName is that of the object for a token which is given a name in a scope: readable, and another for each. Its 80 bits
// of digest keep a caller from finding a name whose object is that of another.
func objectName(s desk.Scope, name string) string {
	const longest, digits = 63, 20
	kind, whose := "client", s.Client
	if s.User != "" {
		kind, whose = "user", s.User
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{kind, whose, name}, "\x00")))
	slug := unfit.ReplaceAllString(strings.ToLower(name), "-")
	slug = strings.Trim(slug[:min(len(slug), longest-digits-1)], "-")
	return slug + "-" + hex.EncodeToString(sum[:])[:digits]
}

// scopeOf is whose a token is.
func scopeOf(at *v1alpha1.ApplicationToken) desk.Scope {
	return desk.Scope{Client: clientOf(at), User: userOf(at)}
}

// madeHere says whether a token was made here, and so goes by the name that it was given.
func (d *Desk) madeHere(at *v1alpha1.ApplicationToken) bool {
	given := at.Annotations[v1alpha1.AnnotationName]
	return byAnswer(at, d.Namespace) && givenName.MatchString(given) && objectName(scopeOf(at), given) == at.Name
}

func (d *Desk) nameOf(at *v1alpha1.ApplicationToken) string {
	if d.madeHere(at) {
		return at.Annotations[v1alpha1.AnnotationName]
	}
	return at.Namespace + declaredMark + at.Name
}

func (d *Desk) keyOf(s desk.Scope, name string) types.NamespacedName {
	if namespace, object, declared := strings.Cut(name, declaredMark); declared {
		return types.NamespacedName{Namespace: namespace, Name: object}
	}
	return types.NamespacedName{Namespace: d.Namespace, Name: objectName(s, name)}
}

// Subject returns the subject of the credentials of a token, whether or not there is one of that name. It reads nothing.
func (d *Desk) Subject(s desk.Scope, name string) string { return d.keyOf(s, name).String() }

// find reads a token of a scope. One of another scope is as one that is not there. A token that is being deleted is found.
func (d *Desk) find(ctx context.Context, from client.Reader, s desk.Scope, name string) (*v1alpha1.ApplicationToken, error) {
	if !givenName.MatchString(name) && !strings.Contains(name, declaredMark) {
		return nil, desk.ErrMissing
	}
	key := d.keyOf(s, name)
	if len(validation.IsDNS1123Label(key.Namespace)) > 0 || len(validation.IsDNS1123Subdomain(key.Name)) > 0 || !d.serves(ctx, key) {
		return nil, desk.ErrMissing
	}
	var at v1alpha1.ApplicationToken
	if err := from.Get(ctx, key, &at); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, desk.ErrMissing
		}
		return nil, unavailable(fmt.Errorf("get %s: %w", key, err))
	}
	ours, err := d.within(ctx, s)
	if err != nil {
		return nil, err
	}
	if !ours(&at) || d.nameOf(&at) != name {
		return nil, desk.ErrMissing
	}
	return &at, nil
}

// unserved is in what the cache says of a namespace that it does not watch. It has no type of its own.
const unserved = "unknown namespace for the cache"

// serves says whether the namespace of a token is served here. In another there are none to us: we may have no rights there.
func (d *Desk) serves(ctx context.Context, key types.NamespacedName) bool {
	if key.Namespace == d.Namespace {
		return true
	}
	err := d.Client.Get(ctx, key, &v1alpha1.ApplicationToken{})
	return err == nil || !strings.Contains(err.Error(), unserved)
}

// alive is find by the word of the API server, but for what is being deleted.
func (d *Desk) alive(ctx context.Context, s desk.Scope, name string) (*v1alpha1.ApplicationToken, error) {
	at, err := d.find(ctx, d.Live, s, name)
	if err == nil && !at.DeletionTimestamp.IsZero() {
		return nil, desk.ErrMissing
	}
	return at, err
}

// within says of a token whether it is of the scope. A user's are those of this very user, not of one of the same name
// before.
func (d *Desk) within(ctx context.Context, s desk.Scope) (func(*v1alpha1.ApplicationToken) bool, error) {
	if s.User == "" {
		return func(at *v1alpha1.ApplicationToken) bool { return at.Spec.UserRef == nil && clientOf(at) == s.Client }, nil
	}
	var u v1alpha1.User
	err := d.Client.Get(ctx, types.NamespacedName{Name: s.User}, &u)
	if apierrors.IsNotFound(err) {
		err = d.Live.Get(ctx, types.NamespacedName{Name: s.User}, &u)
	}
	if client.IgnoreNotFound(err) != nil {
		return nil, unavailable(fmt.Errorf("get User %s: %w", s.User, err))
	}
	there := err == nil
	return func(at *v1alpha1.ApplicationToken) bool { return there && userOf(at) == s.User && belongsTo(at, &u) }, nil
}

// edit changes a token as long as somebody else comes before, each time as it is then. Where nothing is left to be changed,
// an answer was lost.
func (d *Desk) edit(ctx context.Context, at *v1alpha1.ApplicationToken, change func(*v1alpha1.ApplicationToken) error) error {
	key := client.ObjectKeyFromObject(at)
	unheard := 0
	for range mostTries {
		before := at.DeepCopy()
		if err := change(at); err != nil {
			return err
		}
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		if data, err := client.MergeFrom(before).Data(at); err == nil && string(data) == "{}" {
			return nil
		}
		err := d.Client.Patch(ctx, at, patch, fieldOwner)
		switch {
		case err == nil:
			return nil
		case apierrors.IsNotFound(err):
			return desk.ErrMissing
		case apierrors.IsInvalid(err):
			return invalid(err)
		case answered(err) && !apierrors.IsConflict(err):
			return unavailable(err)
		case !answered(err):
			if unheard++; unheard > mostUnheard {
				return unavailable(err)
			}
		}
		var now v1alpha1.ApplicationToken
		if readErr := d.Live.Get(ctx, key, &now); readErr != nil {
			if apierrors.IsNotFound(readErr) {
				return desk.ErrMissing
			}
			return unavailable(errors.Join(err, readErr))
		}
		if now.UID != before.UID || !now.DeletionTimestamp.IsZero() {
			return desk.ErrMissing
		}
		*at = now
	}
	return fmt.Errorf("%w: %s changes all the time", desk.ErrUnavailable, key)
}

// recordsOf reads the records of a token by the word of the API server, each by its name: those that the object names, those
// that the cache knows, and what these took over from. No list of the API server is asked for, which would look at every record
// of every token. What it may miss nobody has been told of, since a version is told of once the object names it.
func (d *Desk) recordsOf(ctx context.Context, at *v1alpha1.ApplicationToken) ([]record.Record, error) {
	return d.Records.ConfirmOf(ctx, owner(at), append(remembered(at), at.Annotations[v1alpha1.AnnotationRecord])...)
}

// end deletes records: from now on their credentials are refused here, and soon everywhere.
func (d *Desk) end(ctx context.Context, records ...record.Record) error {
	for _, r := range records {
		if err := d.Records.RetireAnyway(ctx, r); err != nil {
			return unavailable(err)
		}
		d.Ended(r.Digest)
	}
	return nil
}

// drop takes back a record of which nobody was told. What it cannot delete is litter.
func (d *Desk) drop(ctx context.Context, r record.Record) {
	_ = d.end(ctx, r) //nolint:errcheck // the sweep ends it then
}
