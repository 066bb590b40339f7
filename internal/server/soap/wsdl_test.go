package soap_test

import (
	"encoding/xml"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

// definitions holds the parts of a WSDL document that a client reads.
type definitions struct {
	XMLName   xml.Name `xml:"http://schemas.xmlsoap.org/wsdl/ definitions"`
	Namespace string   `xml:"targetNamespace,attr"`
	Import    []struct {
		Namespace string `xml:"namespace,attr"`
		Location  string `xml:"location,attr"`
	} `xml:"import"`
	PortType struct {
		Name      string `xml:"name,attr"`
		Operation []struct {
			Name string `xml:"name,attr"`
		} `xml:"operation"`
	} `xml:"portType"`
	Binding []struct {
		Operation []struct{} `xml:"operation"`
	} `xml:"binding"`
	Service struct {
		Name string `xml:"name,attr"`
		Port []struct {
			Address struct {
				XMLName  xml.Name
				Location string `xml:"location,attr"`
			} `xml:"address"`
		} `xml:"port"`
	} `xml:"service"`
}

// readWSDL gets a WSDL document.
func readWSDL(t *testing.T, h *servertest.LoginServer, path string) definitions {
	t.Helper()
	got := h.Send(http.MethodGet, path)
	var d definitions
	if err := xml.Unmarshal([]byte(got.Body), &d); err != nil || got.Status != http.StatusOK || got.Header.Get("Content-Type") != "text/xml; charset=utf-8" {
		t.Fatalf("%s: %v, %d %v %s", path, err, got.Status, got.Header, got.Body)
	}
	if err := checkWellFormed(got.Body); err != nil {
		t.Errorf("%s: %v", path, err)
	}
	return d
}

func TestWSDL_ListsOperationsOfService(t *testing.T) {
	h := servertest.NewLoginServer(t)
	for path, operations := range map[string][]string{pathManager: slices.Sorted(maps.Keys(tokenOperations)), pathLogout: {"logout"}} {
		name := strings.TrimPrefix(path, "/security/")
		for _, query := range []string{"?wsdl", "?WSDL", "?Wsdl", "?wsdl=", "?wsdl=1", "/?wsdl", "/?WSDL", "?a=b&wsdl"} {
			d := readWSDL(t, h, path+query)
			var got []string
			for _, op := range d.PortType.Operation {
				got = append(got, op.Name)
			}
			slices.Sort(got)
			if d.Namespace != namespacePB || d.PortType.Name != name || d.Service.Name != name+"ImplService" || !slices.Equal(got, operations) {
				t.Errorf("%s%s: %+v", path, query, d)
			}
			if len(d.Binding) != 2 || len(d.Binding[0].Operation) != len(operations) || len(d.Binding[1].Operation) != len(operations) || len(d.Service.Port) != 2 {
				t.Fatalf("%s%s: %+v", path, query, d)
			}
			for i, namespace := range []string{"http://schemas.xmlsoap.org/wsdl/soap/", "http://schemas.xmlsoap.org/wsdl/soap12/"} {
				if at := d.Service.Port[i].Address; at.XMLName.Space != namespace || at.Location != h.URL+path {
					t.Errorf("%s%s: the address is %+v", path, query, at)
				}
			}
		}
	}
}

// Stubs of both namespaces know one address. They find their service by its qualified name, in the
// document or in one that it imports.
func TestWSDL_ImportsThatOfOtherNamespace(t *testing.T) {
	h := servertest.NewLoginServer(t)
	for _, path := range []string{pathManager, pathLogout} {
		d := readWSDL(t, h, path+"?wsdl")
		if len(d.Import) != 1 || d.Import[0].Namespace != namespacePrecisely {
			t.Fatalf("%s imports %+v", path, d.Import)
		}
		other := readWSDL(t, h, strings.TrimPrefix(d.Import[0].Location, h.URL))
		if other.Namespace != namespacePrecisely || len(other.Import) > 0 || other.Service.Name != d.Service.Name || other.Service.Port[0].Address != d.Service.Port[0].Address {
			t.Errorf("%s imports %+v", path, other)
		}
	}
}

func TestWSDL_AddressIsIssuer(t *testing.T) {
	h := servertest.NewUnstartedLoginServer(t)
	h.Issuer = "https://tokens.example.com/a&b"
	h.Serve(httptest.NewServer)
	d := readWSDL(t, h, pathManager+"?wsdl")
	if got := d.Service.Port[0].Address.Location; got != h.Issuer+pathManager {
		t.Errorf("the address is %s", got)
	}
}

func TestWSDL_OtherRequestsAreRefused(t *testing.T) {
	h := servertest.NewLoginServer(t)
	for name, x := range map[string]struct {
		method, path string
		parts        []servertest.RequestOption
		status       int
	}{
		"no query":           {"GET", pathManager, nil, 404},
		"a slash alone":      {"GET", pathManager + "/", nil, 404},
		"another query":      {"GET", pathManager + "?x=wsdl", nil, 404},
		"another service":    {"GET", "/security/TokenOtherService?wsdl", nil, 404},
		"a path below":       {"GET", pathManager + "/wsdl?wsdl", nil, 404},
		"small letters":      {"GET", "/security/tokenmanagerservice?wsdl", nil, 404},
		"another method":     {"PUT", pathManager + "?wsdl", nil, 405},
		"a forged host":      {"GET", pathManager + "?wsdl", []servertest.RequestOption{func(r *http.Request) { r.Host = "evil.example.com" }}, 421},
		"a forged host by X": {"GET", pathManager + "?wsdl", []servertest.RequestOption{servertest.Header("X-Forwarded-Host", "evil.example.com")}, 200},
	} {
		got := h.Send(x.method, x.path, x.parts...)
		if got.Status != x.status || strings.Contains(got.Body, "evil") {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	if got := h.Send(http.MethodHead, pathManager+"?wsdl"); got.Status != http.StatusOK || got.Body != "" {
		t.Errorf("HEAD: %d %s", got.Status, got.Body)
	}
}
