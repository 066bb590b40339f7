package recordtest

import (
	"crypto/sha256"
	"reflect"
	"slices"
	"time"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// noon is the instant at which every sample was issued.
var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// sampleOwner owns every sample.
var sampleOwner = record.Owner{Kind: "ApplicationToken", Namespace: "shop", Name: "indexer", UID: "0d6c1a52-1"}

// sample returns the record of a credential that no client has. Its digest is derived from the
// label.
func sample(label string) record.Record {
	return record.Record{
		Kind: token.Application, Digest: sha256.Sum256([]byte(label)), Hint: "…x7Qd", Owner: sampleOwner,
		Client: "acme", Roles: []string{"primary"}, IssuedAt: noon, Version: 1,
	}
}

// fullSample returns a sample in which every field that a store keeps is set.
func fullSample(label string) record.Record {
	return modified(sample(label), func(r *record.Record) {
		r.Suspended = true
		r.Roles = []string{"developer", "primary"}
		r.Permissions = []string{"search.*", "sec.continuous.rest"}
		r.SourceRanges = []string{"10.0.0.0/8", "fd00::/8"}
		r.ExpiresAt = noon.Add(90 * 24 * time.Hour)
		r.Version = 1 << 40
		r.Trigger = "again, and \"at once\""
		r.Request = "0123456789abcdef0123456789abcdef"
		r.AuthorizedAt = r.IssuedAt.Add(-time.Hour)
		r.Predecessor = sample(label + ", before").Name()
		r.Parent = sha256.Sum256([]byte(label + ", parent"))
		r.SupersededAt = noon.Add(time.Hour)
		r.Kind, r.User, r.UserUID, r.Credential = token.Login, "alice", "0d6c1a52-2", "c0ffee"
		r.AuthenticatedAt, r.SessionEndsAt = noon.Add(-time.Hour), noon.Add(719*time.Hour)
		r.Session, r.IdleTimeout = sha256.Sum256([]byte(label+", session")), 30*time.Minute
		r.Refresh = &record.Refresh{
			Digest: sha256.Sum256([]byte(label + ", refresh")), Family: sha256.Sum256([]byte(label + ", family")),
			Previous: sha256.Sum256([]byte(label + ", refresh before")), PreviousUntil: noon.Add(time.Minute), ExpiresAt: noon.Add(720 * time.Hour),
			Recent:      []record.Recent{{Digest: sha256.Sum256([]byte(label + ", refresh long before")), Until: noon.Add(time.Second)}},
			Permissions: []string{"search.*"}, IsOfUser: true,
		}
	})
}

// modified returns a copy of a record that twist has modified. A twist that changes a list must
// change a copy of it.
func modified(r record.Record, twist func(*record.Record)) record.Record {
	twist(&r)
	return r
}

// twinDigest returns the digest of another credential under the same name: the half that names do
// not contain differs.
func twinDigest(d token.Digest) token.Digest {
	d[len(d)-1] ^= 1
	return d
}

// storedFields returns the fields that a store keeps as they were added. The others are LastUsedAt
// and LastUsedFrom, which come from the replica that saw the use, and CreatedAt, UID and Revision,
// which come from the store.
func storedFields() []reflect.StructField {
	var fields []reflect.StructField
	for _, f := range reflect.VisibleFields(reflect.TypeFor[record.Record]()) {
		switch f.Name {
		case "LastUsedAt", "LastUsedFrom", "CreatedAt", "UID", "Revision":
		default:
			fields = append(fields, f)
		}
	}
	return fields
}

// wantEqual asserts that two records agree in every field that a store keeps. An absent list must
// be nil.
func (s storeTest) wantEqual(what string, got, want record.Record) {
	s.Helper()
	for _, f := range storedFields() {
		g, w := reflect.ValueOf(got).FieldByIndex(f.Index).Interface(), reflect.ValueOf(want).FieldByIndex(f.Index).Interface()
		if at, ok := g.(time.Time); ok && at.Equal(w.(time.Time)) {
			continue // in any zone
		}
		if !reflect.DeepEqual(inUTC(g), inUTC(w)) {
			s.Errorf("%s: %s is %v, want %v", what, f.Name, g, w)
		}
	}
}

// inUTC returns a value with all times in UTC, so that they compare as instants.
func inUTC(v any) any {
	r, ok := v.(*record.Refresh)
	if !ok || r == nil {
		return v
	}
	same := *r
	same.PreviousUntil, same.ExpiresAt = r.PreviousUntil.UTC(), r.ExpiresAt.UTC()
	same.Recent = slices.Clone(r.Recent)
	for i := range same.Recent {
		same.Recent[i].Until = same.Recent[i].Until.UTC()
	}
	return same
}
