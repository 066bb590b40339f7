package soap

import (
	"bytes"
	_ "embed" // the template
	"encoding/xml"
	"net/http"
	"strings"
	"text/template"

	"github.com/apptoken/operator/internal/server/endpoint"
)

//go:embed wsdl.xml
var wsdlText string

var wsdlTemplate = template.Must(template.New("wsdl").Funcs(template.FuncMap{"escape": escape}).Parse(wsdlText))

// escape escapes a text for XML.
func escape(text string) (string, error) {
	var escaped bytes.Buffer
	err := xml.EscapeText(&escaped, []byte(text))
	return escaped.String(), err
}

// description is the data of a WSDL document.
type description struct {
	service
	Address   string // URL of the service
	Namespace string // of the document
	Imported  string // namespace of the document that it imports; empty: none
	Location  string // URL of the document that it imports
}

// binding is a binding of a service to a version of SOAP.
type binding struct{ Name, Port, Prefix string }

// Bindings returns the bindings of a service. JAX-WS gives these names to the bindings of a class
// TokenManagerServiceImpl.
func (d description) Bindings() []binding {
	return []binding{
		{d.Name + "ImplServiceSoapBinding", d.Name + "ImplPort", "soap"},
		{d.Name + "ImplServiceSoap12Binding", d.Name + "ImplPort12", "soap12"},
	}
}

// queryPrecisely is the value of the parameter wsdl that selects the document in the namespace of
// Precisely.
const queryPrecisely = "precisely"

// wsdl serves the WSDL document of a service. The document in the namespace of Pitney Bowes imports
// the same in that of Precisely. So the stubs of both find their service under the one address that
// they know.
func (h *Handlers) wsdl(s service) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		selected, there := "", false
		for name, values := range r.URL.Query() {
			if strings.EqualFold(name, "wsdl") {
				selected, there = values[0], true
			}
		}
		if !there {
			endpoint.WriteNotFound(w)
			return
		}
		base, ok := h.IssuerURL(w, r)
		if !ok {
			return
		}
		d := description{service: s, Address: base + s.path(), Namespace: namespacePrecisely}
		if selected != queryPrecisely {
			d.Namespace, d.Imported, d.Location = namespacePB, namespacePrecisely, d.Address+"?wsdl="+queryPrecisely
		}
		var text bytes.Buffer
		if err := wsdlTemplate.Execute(&text, d); err != nil { // unreachable: the template fits its data, whatever a caller sends
			endpoint.WriteError(w, http.StatusInternalServerError, "server_error", "this request failed here")
			return
		}
		header := w.Header()
		header["Content-Type"], header["Cache-Control"] = []string{"text/xml; charset=utf-8"}, endpoint.NoStore
		endpoint.SetBrowserHeaders(header)
		_, _ = w.Write(text.Bytes()) //nolint:errcheck // the caller is gone
	}
}
