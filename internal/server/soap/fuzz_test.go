package soap_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// passwordPlaceholder stands for alice's password in fuzzed input.
const passwordPlaceholder = "{her password}"

// Whatever a message holds: no panic, an answer that is one well-formed envelope, and no secret in
// it. Without a name and a password nothing is written. The status is one that this package gives.
func FuzzMessage(f *testing.F) {
	for _, v := range versions {
		kind := v.mediaType + "; charset=utf-8"
		for operation := range tokenOperations {
			f.Add(true, true, kind, "", v.call(operation, minutes("5")))
		}
		for _, x := range hostileMessages {
			f.Add(true, true, kind, `"getAccessExpiringToken"`, x.text(v))
		}
		f.Add(true, false, kind, "", v.call("getAccessToken", ""))
		f.Add(false, true, kind, "logout", v.call("logout", "<a>"+passwordPlaceholder+"</a>"))
	}
	f.Add(true, true, `multipart/related; type="text/xml"; boundary=x`, "x", "--x--")
	h := servertest.NewUnstartedLoginServer(f)
	handler := h.Handler() // built once: to describe the operations takes longer than a request
	f.Fuzz(func(t *testing.T, isManager, hasPassword bool, kind, action, text string) {
		h.T = t
		h.AuditLog.Reset()
		h.Clock.Advance(time.Minute) // which ends rate limits
		path, r := pathLogout, httptest.NewRequest(http.MethodPost, "/", nil)
		if isManager {
			path = pathManager
		}
		r.URL.Path, r.RemoteAddr = path, "192.0.2.7:1"
		r.Body = io.NopCloser(strings.NewReader(strings.ReplaceAll(text, passwordPlaceholder, servertest.Passwords["alice"])))
		r.Header = http.Header{"Content-Type": {kind}, "Soapaction": {action}}
		if hasPassword {
			servertest.Basic("alice")(r)
		}
		was := h.Store.WriteCounts()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if err := checkWellFormed(w.Body.String()); err != nil || !strings.Contains(w.Body.String(), ":Body>") {
			t.Errorf("%v in %s", err, w.Body)
		}
		if strings.Contains(fmt.Sprint(w.Header(), w.Body), servertest.PasswordMark) {
			t.Errorf("the password is in %v %s", w.Header(), w.Body)
		}
		if wrote := h.Store.WriteCounts() != was; wrote != (w.Code == http.StatusOK) || wrote && !(hasPassword && isManager) {
			t.Errorf("%d %s, and something was written: %t", w.Code, w.Body, wrote)
		}
		switch w.Code {
		case 200, 400, 401, 403, 413, 415, 500, 503:
		default:
			t.Errorf("%d %s", w.Code, w.Body)
		}
		h.CheckNoSecretInAudit()
	})
}
