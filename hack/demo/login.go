package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/apptoken/operator/internal/token"
)

// The user of the samples, with the password that config/samples publishes.
const (
	sampleUsername = "alice@example.com"
	samplePassword = "please-replace-me"
)

// loginCommand returns the command that logs the user in.
func (s *environment) loginCommand() string {
	return fmt.Sprintf("curl -s http://%s/oauth2/token -d grant_type=password -d username=%s -d password=%s", s.endpointAddress, sampleUsername, samplePassword)
}

// showLogin shows the login of a user with a name and a password.
func showLogin(s *environment, ctx context.Context) error {
	fmt.Println("\n8. A user logs in, and gets a login token for an hour and a refresh token:")
	fmt.Println("  $ " + s.loginCommand())
	form := url.Values{"grant_type": {"password"}, "username": {sampleUsername}, "password": {samplePassword}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.endpointAddress+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	defer answer.Body.Close()
	var said struct {
		Text      string `json:"access_token"`
		ExpiresIn int    `json:"expires_in"`
		Refresh   string `json:"refresh_token"`
		Scope     string `json:"scope"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil || answer.StatusCode != http.StatusOK {
		return errors.Join(err, fmt.Errorf("the response to the login is %s", answer.Status))
	}
	tok, err := token.Parse(said.Text)
	if err != nil {
		return err
	}
	fmt.Printf("    {\"access_token\":\"atl_%s\", \"expires_in\":%d, \"refresh_token\":\"atr_…\", \"scope\":%q}\n", tok.Hint(), said.ExpiresIn, said.Scope)
	fmt.Println("   Every verification endpoint accepts it. LOGIN is the access_token:")
	if status, err := s.verify(ctx, tok, "LOGIN", ""); err != nil || status != http.StatusOK {
		return errors.Join(err, fmt.Errorf("/verify answers %d", status))
	}
	fmt.Println("   The login has one record, which holds a hash like the others:")
	return s.kubectl(ctx, "get tokenrecords -n "+ownNamespace+" --field-selector spec.owner.name=alice")
}
