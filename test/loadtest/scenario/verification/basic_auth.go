package verification

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/login/password"
	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
)

// passwordUsers is the number of users that present a name and a password with each request.
const passwordUsers = 64

// basicAuth compares /verify, with an application token or a user's password by Basic, with a
// handler that writes the same response without verifying. The passwords are checked once a minute.
func (d *endpointTest) basicAuth(ctx context.Context, b *scenario.Run, r report.Table) error {
	var tokens, passwords []string
	for _, i := range d.presented {
		tokens = append(tokens, basicHeader("acme-search", d.texts[i]))
	}
	var err error
	if d.Passwords, passwords, err = d.addPasswordUsers(); err != nil {
		return err
	}
	for _, x := range []struct {
		name  string
		lines []string
		goal  float64
	}{
		{"/verify, an application token by Basic", tokens, 0.85},
		{"/verify, a user's password by Basic", passwords, 0.7},
	} {
		handler := d.Handler()
		same, err := sameAnswer(ctx, handler, x.lines[0])
		if err != nil {
			return err
		}
		var requests [][]byte
		for _, line := range x.lines {
			requests = append(requests, load.RawRequest(http.MethodGet, "/verify?permission=search.query", "", "", "", line))
		}
		v, err := d.compare(ctx, b, requests, []string{x.name, "the same answer, without looking"}, handler, same)
		if err != nil {
			return err
		}
		r.AddRatio(x.name+", beside the same answer without looking", v[0].Rate, "/s", v[1].Rate, report.AtLeast(x.goal))
	}
	return nil
}

// basicHeader returns a header with a name and a password.
func basicHeader(name, text string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+text))
}

// addPasswordUsers adds users with a password, and returns the service that checks it, and the
// headers that present it. A hash takes a millisecond, so that the checks that are due each minute
// do not show.
func (d *endpointTest) addPasswordUsers() (*login.Service, []string, error) {
	const text = "correct horse battery staple"
	hash, err := bcrypt.GenerateFromPassword([]byte(text), bcrypt.MinCost)
	if err != nil {
		return nil, nil, fmt.Errorf("hash a password: %w", err)
	}
	stored, err := password.ParseHash(string(hash))
	if err != nil {
		return nil, nil, fmt.Errorf("parse the hash of a password: %w", err)
	}
	directory := &login.Directory{}
	directory.SetClient(login.Client{Name: verifyClient().Name})
	var headers []string
	for i := range passwordUsers {
		name := fmt.Sprintf("program-%02d", i)
		known := verifyUser(record.Record{User: name, Client: verifyClient().Name, Credential: stored.Fingerprint(), Owner: record.Owner{UID: name}})
		d.index.SetUser(known)
		directory.SetUser(login.User{
			Name: name, UID: known.UID, Username: known.Username, Password: stored, Credential: known.Credential,
			Accounts: []login.Account{{Client: verifyClient().Name}},
		})
		headers = append(headers, basicHeader(name, text))
	}
	return login.NewService(login.Options{Directory: directory, MaxConcurrentChecks: 2, Entropy: rand.Reader, Now: time.Now}), headers, nil
}
