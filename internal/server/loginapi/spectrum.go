package loginapi

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"time"

	"github.com/apptoken/operator/internal/login"
	"github.com/apptoken/operator/internal/server/decode"
	"github.com/apptoken/operator/internal/server/endpoint"
	"github.com/apptoken/operator/internal/token"
)

// This file serves the protocol of the Spectrum Technology Platform: session and open tokens
// (docs/login-protocols/spectrum.md).

// maxTTLMinutes is the maximum time-to-live that a caller may ask for: ten years.
const maxTTLMinutes = 10 * 366 * 24 * 60

// accessResponse is the response of the token resources.
type accessResponse struct {
	AccessToken string `json:"access_token" doc:"The token, for the header Authorization: Bearer"`
	Session     string `json:"session,omitempty" doc:"The session ID, for the cookie SESSION" format:"uuid"`
	Username    string `json:"username"`
}

// Spectrum serves the login protocol of Spectrum.
type Spectrum struct{ *Logins }

// sessionToken serves GET /security/rest/token/access/session/{ttlInMinutes}.
func (h *Spectrum) sessionToken(w http.ResponseWriter, r *http.Request) {
	h.spectrumToken(w, r, token.Session)
}

// openToken serves GET /security/rest/token/access/{ttlInMinutes}.
func (h *Spectrum) openToken(w http.ResponseWriter, r *http.Request) {
	h.spectrumToken(w, r, token.Open)
}

func (h *Spectrum) spectrumToken(w http.ResponseWriter, r *http.Request, kind token.Kind) {
	lifetime, err := ParseTTL("ttlInMinutes", r.PathValue("ttlInMinutes"))
	var o login.Opened
	if err == nil {
		o, err = h.OpenSpectrumLogin(w, r, kind, lifetime)
	}
	if err != nil {
		WriteLoginError(w, err, endpoint.PasswordChallenge(r))
		return
	}
	endpoint.WriteJSON(w, http.StatusOK, accessResponse{AccessToken: o.Token.Reveal(), Session: o.Session, Username: o.User.Username})
}

// OpenSpectrumLogin opens a session or an open token for the user whose name and password are in
// the Authorization header. With a lifetime of 0 it sets no limit. For a session it sets the
// session cookie.
func (l *Logins) OpenSpectrumLogin(w http.ResponseWriter, r *http.Request, kind token.Kind, lifetime time.Duration) (login.Opened, error) {
	n, there, readable := endpoint.PasswordInHeader(r)
	if !there || !readable {
		return login.Opened{}, login.ErrDenied
	}
	u, c, err := l.authenticateAtQueryAccount(w, r, n, "")
	if err != nil {
		return login.Opened{}, err
	}
	o, err := l.OpenLogin(r, u, c, login.Terms{Kind: kind, Lifetime: lifetime, Source: l.Source(r)})
	if err == nil && o.Session != "" {
		l.setSessionCookie(w, r, o.Session, 0)
	}
	return o, err
}

// ParseTTL parses the time-to-live in a field: minutes, in digits alone. 0 means no limit.
func ParseTTL(field, text string) (time.Duration, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != text || n < 0 || n > maxTTLMinutes {
		return 0, &decode.Error{
			Status: http.StatusBadRequest, Field: field,
			Message: "must be a whole number of minutes from 0, which is no limit, to " + strconv.Itoa(maxTTLMinutes),
		}
	}
	return time.Duration(n) * time.Minute, nil
}

// setSessionCookie sets the session cookie, or deletes it if age is negative.
func (l *Logins) setSessionCookie(w http.ResponseWriter, r *http.Request, id string, age int) {
	l.SetCookie(w, r, http.Cookie{Name: endpoint.CookieSession, Value: id, MaxAge: age}) //nolint:gosec // SetCookie sets the other attributes
}

// spectrumLogout serves GET /security/rest/token/logout.
func (h *Spectrum) spectrumLogout(w http.ResponseWriter, r *http.Request) {
	if err := h.EndSpectrumLogin(w, r); err != nil {
		WriteLoginError(w, err, endpoint.BearerChallenge)
		return
	}
	endpoint.WriteJSON(w, http.StatusOK, successResponse{true})
}

// EndSpectrumLogin ends the login whose token a request presents, and deletes its cookies.
func (l *Logins) EndSpectrumLogin(w http.ResponseWriter, r *http.Request) error {
	err := l.endLogin(r)
	if err == nil {
		l.setSessionCookie(w, r, "", -1)
		l.deleteRememberMe(w, r)
	}
	return err
}

// wadl is a Web Application Description Language document (W3C submission, 31 August 2009).
type wadl struct {
	XMLName   xml.Name      `xml:"http://wadl.dev.java.net/2009/02 application"`
	Types     string        `xml:"xmlns:xs,attr"` // namespace of the parameters' types
	Resources wadlResources `xml:"resources"`
}

type wadlResources struct {
	Base string         `xml:"base,attr"`
	List []wadlResource `xml:"resource"`
}

type wadlResource struct {
	Path   string         `xml:"path,attr"`
	Param  *wadlParam     `xml:"param"`
	Method *wadlMethod    `xml:"method"`
	List   []wadlResource `xml:"resource"`
}

type wadlParam struct {
	Name  string `xml:"name,attr"`
	Style string `xml:"style,attr"`
	Type  string `xml:"type,attr"`
}

type wadlMethod struct {
	Name  string   `xml:"name,attr"`
	ID    string   `xml:"id,attr"`
	Media wadlType `xml:"response>representation"`
}

type wadlType struct {
	MediaType string `xml:"mediaType,attr"`
}

// spectrumWADL serves GET /security/rest?_wadl: the WADL document of the resources above.
func (h *Spectrum) spectrumWADL(w http.ResponseWriter, r *http.Request) {
	if q := r.URL.Query(); !q.Has("_wadl") && !q.Has("wadl") {
		endpoint.WriteNotFound(w)
		return
	}
	base, ok := h.IssuerURL(w, r)
	if !ok {
		return
	}
	get := func(id string) *wadlMethod {
		return &wadlMethod{Name: http.MethodGet, ID: id, Media: wadlType{"application/json"}}
	}
	minutes := &wadlParam{"ttlInMinutes", "template", "xs:long"}
	text, err := xml.MarshalIndent(wadl{Types: "http://www.w3.org/2001/XMLSchema", Resources: wadlResources{Base: base + "/security/rest", List: []wadlResource{
		{Path: "/token", List: []wadlResource{
			{Path: "/access/session/{ttlInMinutes}", Param: minutes, Method: get("getSessionToken")},
			{Path: "/access/{ttlInMinutes}", Param: minutes, Method: get("getOpenToken")},
			{Path: "/logout", Method: get("logout")},
		}},
	}}}, "", "  ")
	if err != nil { // unreachable: this package's types marshal, whatever a caller sends
		endpoint.WriteError(w, http.StatusInternalServerError, "server_error", "this request failed here")
		return
	}
	header := w.Header()
	header["Content-Type"], header["Cache-Control"] = []string{"application/vnd.sun.wadl+xml"}, endpoint.NoStore
	endpoint.SetBrowserHeaders(header)
	_, _ = w.Write(append([]byte(xml.Header), append(text, '\n')...)) //nolint:errcheck // the caller is gone
}

// Operations returns the operations of the protocol.
func (h *Spectrum) Operations() []endpoint.Operation {
	minutes := []endpoint.Param{{Name: "ttlInMinutes", Text: "Minutes until the token expires; 0 sets no limit", IsInteger: true}}
	return []endpoint.Operation{
		{Method: http.MethodGet, Path: "/security/rest/token/access/session/{ttlInMinutes}", Serve: h.sessionToken, Doc: endpoint.Description{
			Id: "sessionToken", Tag: endpoint.TagSpectrum, Summary: "Get a session token",
			Text: "The token is valid only with its session ID, in the cookie SESSION, and from the address of the caller.",
			Path: minutes, Callers: endpoint.CallersWithPassword, HasSideEffect: true, Response: accessResponse{AccessToken: "ats_…", Session: "7f1d6f0e-2c7a-4f0e-8d0a-3a4f4c1c9b52", Username: "alice@example.com"}, ErrorStatuses: []int{400, 401, 403, 429, 503},
		}},
		{Method: http.MethodGet, Path: "/security/rest/token/access/{ttlInMinutes}", Serve: h.openToken, Doc: endpoint.Description{
			Id: "openToken", Tag: endpoint.TagSpectrum, Summary: "Get an open token",
			Text: "The token is valid without a session ID and from every address. The client may forbid open tokens, or limit their lifetime.",
			Path: minutes, Callers: endpoint.CallersWithPassword, HasSideEffect: true, Response: accessResponse{AccessToken: "ato_…", Username: "alice@example.com"}, ErrorStatuses: []int{400, 401, 403, 429, 503},
		}},
		{Method: http.MethodGet, Path: "/security/rest/token/logout", Serve: h.spectrumLogout, Doc: endpoint.Description{
			Id: "spectrumLogout", Tag: endpoint.TagSpectrum, Summary: "End the login of the caller",
			Text:    "The token of the request ends. A token in a cookie ends only for pages of the operator's own origin.",
			Callers: endpoint.CallersWithToken, HasSideEffect: true, Response: successResponse{true}, ErrorStatuses: []int{401, 403, 503},
		}},
		// It has no description: its document is WADL, not JSON.
		{Method: http.MethodGet, Path: "/security/rest", Serve: h.spectrumWADL, IsPublic: true},
		{Method: http.MethodGet, Path: "/security/rest/", Serve: h.spectrumWADL, IsPublic: true}, // the path that JAX-RS tools ask
	}
}
