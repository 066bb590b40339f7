package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// The clock panics once for each endpoint, since every endpoint reads it.
func TestPanic_FailsOneRequestOfEachEndpoint(t *testing.T) {
	s := servertest.NewListenerServer(t, withShortTimeouts)
	client, now := s.DialExtAuthz(), s.Fixture.Now
	var broken atomic.Bool
	s.Endpoints.Now = func() time.Time {
		if broken.CompareAndSwap(true, false) {
			panic("something unforeseen")
		}
		return now
	}
	good := s.Tokens["indexer"]
	for _, request := range []string{
		servertest.GetRequest("/verify", "X-Security-Token: "+good), servertest.PostRequest("/oauth2/introspect", servertest.ContentTypeForm, "token="+good, "X-Security-Token: "+s.Tokens["root"]),
		servertest.PostRequest("/tokenreview", "application/json", servertest.ReviewOf(`"token":"`+good+`"`)),
	} {
		broken.Store(true)
		for _, want := range []int{http.StatusInternalServerError, http.StatusOK} {
			if got, wire := s.Send(request, false); got.Status != want || strings.Contains(wire, "unforeseen") {
				t.Errorf("want %d: %q", want, wire)
			}
		}
	}
	broken.Store(true)
	for _, want := range []codes.Code{codes.Internal, codes.OK} {
		if got, err := client.Check(t.Context(), servertest.CheckRequestWith(map[string]string{"authorization": "Bearer " + good})); status.Code(err) != want || strings.Contains(fmt.Sprint(err), "unforeseen") {
			t.Errorf("%v, %v", got, err)
		}
	}
	s.CheckNoLeak("the log", s.AuditLog.Text())
}

func TestPanic_FailsOneRequest(t *testing.T) {
	said := &servertest.AuditRecorder{}
	l, _, _ := servertest.Listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic("something unforeseen")
		}
		w.WriteHeader(http.StatusNoContent)
	}), said.Logger(), withShortTimeouts)
	for path, want := range map[string]int{"/panic": http.StatusInternalServerError, "/": http.StatusNoContent} {
		res, err := http.Get("http://" + l.Addr().String() + path) //nolint:noctx // ends with the listener
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != want || strings.Contains(string(text), "unforeseen") {
			t.Errorf("%s: %d %s", path, res.StatusCode, text)
		}
	}
	if !strings.Contains(said.Text(), "unforeseen") {
		t.Errorf("the log says %s", said.Text())
	}
}

func TestPanic_FailsOneLogin(t *testing.T) {
	h := servertest.NewUnstartedLoginServer(t)
	var broken atomic.Bool
	h.Endpoints.Now = func() time.Time {
		if broken.CompareAndSwap(true, false) {
			panic("something unforeseen, " + servertest.PasswordMark)
		}
		return h.Clock.Now()
	}
	h.OnLoginResult = func(string, string) {
		if broken.CompareAndSwap(true, false) {
			panic("something unforeseen, " + servertest.PasswordMark)
		}
	}
	l, _, _ := servertest.Listen(t, h.Handler(), h.AuditLog.Logger(), withShortTimeouts)
	h.URL = "http://" + l.Addr().String()
	tok := h.Login("alice")
	for name, x := range map[string]func() servertest.Response{
		"a login": func() servertest.Response {
			return h.Send(http.MethodPost, "/auth/login", servertest.FormBody(servertest.CredentialFields("alice")...))
		},
		"a session": func() servertest.Response {
			return h.Send(http.MethodGet, servertest.PathSessionToken+"5", servertest.Basic("alice"))
		},
		"a list": func() servertest.Response {
			return h.Send(http.MethodGet, servertest.PathAcmeTokens, servertest.Bearer(tok))
		},
	} {
		broken.Store(true)
		if got := x(); got.Status != 500 || strings.Contains(got.Body, "unforeseen") || h.Members(got)["error"] != "server_error" {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		if got := x(); got.Status != 200 {
			t.Errorf("%s, once more: %d %s", name, got.Status, got.Body)
		}
	}
}
