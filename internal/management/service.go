package management

import (
	"context"
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
	"github.com/apptoken/operator/internal/apierr"
	"github.com/apptoken/operator/internal/directory"
	"github.com/apptoken/operator/internal/issue"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/record/kube"
	"github.com/apptoken/operator/internal/token"
	"github.com/apptoken/operator/internal/tokenspec"
	"github.com/apptoken/operator/internal/verify"
)

// Service creates, shows, changes and revokes tokens for callers of the HTTP API, on every replica
// at the same time.
//
// A token that it creates is an ApplicationToken of delivery Response in the operator's own
// namespace. Its annotation apptoken.dev/record names the record of its current version. That
// annotation is written last, by the resource version of the object: that decides which of several
// calls made the version. Before that write, no caller has received the version, and what a crash
// leaves is an orphan. After it, the response is sent whatever else fails: the reconciler also does
// what is left.
//
// The context bounds how long a call waits for the API server. A context that ends with the
// connection of the caller leaves more work to the reconciler than is needed.
type Service struct {
	Client    client.Client // reads may be from a cache
	Live      client.Reader // reads are from the API server
	Records   *kube.Store
	Quota     *directory.Quota
	Namespace string // the operator's own, which holds the records
	Now       func() time.Time
	Entropy   io.Reader
	Events    events.EventRecorder
	Ended     func(token.Digest)      // called with each credential that was ended here
	WasUsed   func(token.Digest) bool // reports whether this replica has seen the credential in use

	// LastOutage returns when the API server last did not answer this replica. Nil means never.
	LastOutage func() time.Time
}

var _ API = (*Service)(nil)

// maxWriteAttempts bounds how often a write is tried while other writers come first.
const maxWriteAttempts = 32

// maxUnansweredWrites bounds how often a write is repeated after it got no response.
const maxUnansweredWrites = 2

func (s *Service) resolver() tokenspec.Resolver {
	return tokenspec.Resolver{Client: s.Client, Live: s.Live, Records: s.Records}
}

func (s *Service) issuer() issue.Issuer {
	return issue.Issuer{Client: s.Client, Records: s.Records, Ended: s.Ended}
}

func (s *Service) now() time.Time { return s.Now().Truncate(time.Second) } // records hold whole seconds

// asUnavailable returns err if callers know it, and otherwise wraps it in ErrUnavailable.
func asUnavailable(err error) error {
	known := []error{nil, ErrNotFound, ErrExists, ErrRetryExpired, ErrSuperseded, ErrUnavailable}
	_, refused := errors.AsType[*Refused](err)
	_, denied := errors.AsType[*Denied](err)
	_, soon := errors.AsType[*TooSoon](err)
	if refused || denied || soon || slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func newRefused(field, format string, args ...any) error {
	return &Refused{Field: field, Message: fmt.Sprintf(format, args...)}
}

// declaredSeparator separates namespace and name of a token that is declared in Kubernetes. No name
// that the management API accepts for a new token contains it.
const declaredSeparator = ":"

// nonSlugPattern matches what the name of an object cannot take over from the name of a token.
var nonSlugPattern = regexp.MustCompile(`[^a-z0-9]+`)

// objectName returns the name of the object for a token of that name in a scope: readable, and
// different for each token.
func objectName(scope Scope, name string) string {
	const maxLength = 63
	digits := verify.DigitsOfName(scope.Client, scope.User, name)
	slug := nonSlugPattern.ReplaceAllString(strings.ToLower(name), "-")
	slug = strings.Trim(slug[:min(len(slug), maxLength-len(digits)-1)], "-")
	return slug + "-" + string(digits[:])
}

// scopeOf returns the scope that a token belongs to.
func scopeOf(at *v1alpha1.ApplicationToken) Scope {
	return Scope{Client: at.ClientName(), User: at.UserName()}
}

// isCreatedByAPI reports whether the management API created a token. Such a token has the name that
// the caller gave.
func (s *Service) isCreatedByAPI(at *v1alpha1.ApplicationToken) bool {
	given := at.Annotations[v1alpha1.AnnotationName]
	return tokenspec.DeliveredInResponse(at, s.Namespace) && isTokenName(given) && objectName(scopeOf(at), given) == at.Name
}

// tokenName returns the name of a token in the management API.
func (s *Service) tokenName(at *v1alpha1.ApplicationToken) string {
	if s.isCreatedByAPI(at) {
		return at.Annotations[v1alpha1.AnnotationName]
	}
	return at.Namespace + declaredSeparator + at.Name
}

// objectKey returns the key of the object of a token by that name.
func (s *Service) objectKey(scope Scope, name string) types.NamespacedName {
	if namespace, object, declared := strings.Cut(name, declaredSeparator); declared {
		return types.NamespacedName{Namespace: namespace, Name: object}
	}
	return types.NamespacedName{Namespace: s.Namespace, Name: objectName(scope, name)}
}

// Subject returns the subject of the credentials of a token, whether or not a token of that name
// exists. It reads nothing.
func (s *Service) Subject(scope Scope, name string) string { return s.objectKey(scope, name).String() }

// findToken reads a token of a scope. A token of another scope counts as missing. A token that is
// being deleted is found.
func (s *Service) findToken(ctx context.Context, from client.Reader, scope Scope, name string) (*v1alpha1.ApplicationToken, error) {
	if !isTokenName(name) && !strings.Contains(name, declaredSeparator) {
		return nil, ErrNotFound
	}
	key := s.objectKey(scope, name)
	if len(validation.IsDNS1123Label(key.Namespace)) > 0 || len(validation.IsDNS1123Subdomain(key.Name)) > 0 || !s.servesNamespace(ctx, key) {
		return nil, ErrNotFound
	}
	var at v1alpha1.ApplicationToken
	if err := from.Get(ctx, key, &at); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, ErrNotFound
		}
		return nil, asUnavailable(fmt.Errorf("get %s: %w", key, err))
	}
	inScope, err := s.scopeFilter(ctx, scope)
	if err != nil {
		return nil, err
	}
	if !inScope(&at) || s.tokenName(&at) != name {
		return nil, ErrNotFound
	}
	return &at, nil
}

// unservedNamespaceText is part of the error that the cache returns for a namespace that it does
// not watch. The error has no type of its own.
const unservedNamespaceText = "unknown namespace for the cache"

// servesNamespace reports whether the operator serves the namespace of a token. Tokens in another
// namespace count as missing: the operator may have no permissions there.
func (s *Service) servesNamespace(ctx context.Context, key types.NamespacedName) bool {
	if key.Namespace == s.Namespace {
		return true
	}
	err := s.Client.Get(ctx, key, &v1alpha1.ApplicationToken{})
	return err == nil || !strings.Contains(err.Error(), unservedNamespaceText)
}

// findLiveToken is like findToken, but reads from the API server and does not return a token that
// is being deleted.
func (s *Service) findLiveToken(ctx context.Context, scope Scope, name string) (*v1alpha1.ApplicationToken, error) {
	at, err := s.findToken(ctx, s.Live, scope, name)
	if err == nil && !at.DeletionTimestamp.IsZero() {
		return nil, ErrNotFound
	}
	return at, err
}

// scopeFilter returns a function that reports whether a token belongs to the scope. A user's tokens
// are those of this very User, not those of an earlier User of the same name.
func (s *Service) scopeFilter(ctx context.Context, scope Scope) (func(*v1alpha1.ApplicationToken) bool, error) {
	if scope.User == "" {
		return func(at *v1alpha1.ApplicationToken) bool {
			return at.Spec.UserRef == nil && at.ClientName() == scope.Client
		}, nil
	}
	var u v1alpha1.User
	err := s.Client.Get(ctx, types.NamespacedName{Name: scope.User}, &u)
	if apierrors.IsNotFound(err) {
		err = s.Live.Get(ctx, types.NamespacedName{Name: scope.User}, &u)
	}
	if client.IgnoreNotFound(err) != nil {
		return nil, asUnavailable(fmt.Errorf("get User %s: %w", scope.User, err))
	}
	there := err == nil
	return func(at *v1alpha1.ApplicationToken) bool {
		return there && at.UserName() == scope.User && tokenspec.IsTokenOfUser(at, &u)
	}, nil
}

// editToken changes a token. As long as another writer comes first, it tries again on the token as
// it is then. If nothing is left to change, the change was empty, or the response to an earlier
// attempt was lost.
func (s *Service) editToken(ctx context.Context, at *v1alpha1.ApplicationToken, change func(*v1alpha1.ApplicationToken) error) error {
	key := client.ObjectKeyFromObject(at)
	unanswered := 0
	for range maxWriteAttempts {
		before := at.DeepCopy()
		if err := change(at); err != nil {
			return err
		}
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		if data, err := client.MergeFrom(before).Data(at); err == nil && string(data) == "{}" {
			return nil
		}
		err := s.Client.Patch(ctx, at, patch, fieldOwner)
		switch {
		case err == nil:
			return nil
		case apierrors.IsNotFound(err):
			return ErrNotFound
		case apierrors.IsInvalid(err):
			return invalidError(err)
		case apierr.IsRejected(err) && !apierrors.IsConflict(err):
			return asUnavailable(err)
		case !apierr.IsRejected(err):
			if unanswered++; unanswered > maxUnansweredWrites {
				return asUnavailable(err)
			}
		}
		var now v1alpha1.ApplicationToken
		if readErr := s.Live.Get(ctx, key, &now); readErr != nil {
			if apierrors.IsNotFound(readErr) {
				return ErrNotFound
			}
			return asUnavailable(errors.Join(err, readErr))
		}
		if now.UID != before.UID || !now.DeletionTimestamp.IsZero() {
			return ErrNotFound
		}
		*at = now
	}
	return fmt.Errorf("%w: %s keeps changing", ErrUnavailable, key)
}

// recordsOf reads the records of a token from the API server, each by its name: those that the
// object names, those that the cache knows, and their predecessors. It asks for no list, for which
// the API server would read every record of every token. No caller has received a version that
// recordsOf misses, since a version is delivered only once the object names it.
func (s *Service) recordsOf(ctx context.Context, at *v1alpha1.ApplicationToken) ([]record.Record, error) {
	return s.Records.ConfirmByOwner(ctx, tokenspec.OwnerOf(at), append(tokenspec.RecordNamesInStatus(at), at.Annotations[v1alpha1.AnnotationRecord])...)
}

// retireRecords deletes records: from then on their credentials are rejected on this replica, and
// soon on every replica.
func (s *Service) retireRecords(ctx context.Context, records ...record.Record) error {
	return asUnavailable(s.issuer().Retire(ctx, records...))
}

// discardRecord deletes a record whose version no caller has received. A record that it cannot
// delete is an orphan.
func (s *Service) discardRecord(ctx context.Context, r record.Record) {
	_ = s.retireRecords(ctx, r) //nolint:errcheck // it is garbage-collected then
}
