package soap

import (
	"encoding/xml"
	"slices"
	"strings"
)

// The namespaces of the services: that of Pitney Bowes, and the one that it became at Precisely.
const (
	namespacePB        = "http://token.security.common.server.platform.spectrum.pb.com/"
	namespacePrecisely = "http://token.security.common.server.platform.spectrum.precisely.com/"
)

// paramLifetime is the one parameter of the operations.
const paramLifetime = "tokenLifeInMinutes"

// call is an operation that a message calls.
type call struct {
	namespace, operation string
	lifetime             string // of paramLifetime
	hasLifetime          bool
}

// parseEnvelope parses a message. It returns the version of the message where it has one, even with
// an error.
func parseEnvelope(text []byte) (*version, call, error) {
	d := newDocument(text)
	root, err := d.start()
	if err != nil {
		return nil, call{}, err
	}
	if root == nil || root.Name.Local != "Envelope" {
		return nil, call{}, callerFault("the message is not a SOAP envelope")
	}
	v := versionOf(root.Name.Space)
	if v == nil {
		return nil, call{}, &fault{code: versionMismatch, reason: "the envelope is neither of SOAP 1.1 nor of SOAP 1.2"}
	}
	c, err := d.envelope(v)
	if err != nil {
		return v, call{}, err
	}
	if t, err := d.next(); err != nil || t != nil {
		return v, call{}, errMalformed
	}
	return v, c, nil
}

// envelope parses the content of an envelope.
func (d *document) envelope(v *version) (call, error) {
	part, err := d.start()
	if err == nil && part != nil && part.Name == (xml.Name{Space: v.envelope, Local: "Header"}) {
		if err := d.header(v); err != nil {
			return call{}, err
		}
		part, err = d.start()
	}
	if err != nil {
		return call{}, err
	}
	if part == nil || part.Name != (xml.Name{Space: v.envelope, Local: "Body"}) {
		return call{}, callerFault("the envelope must have one Body, after its Header if it has one")
	}
	c, err := d.body()
	if err != nil {
		return call{}, err
	}
	after, err := d.start()
	if err == nil && after != nil {
		err = callerFault("the envelope has an element after its Body")
	}
	return c, err
}

// header reads the headers of a message. None is known here, so one that must be understood is
// refused, unless it is meant for another node. All others are ignored, a WS-Security header with a
// password among them.
func (d *document) header(v *version) error {
	for {
		h, err := d.start()
		if err != nil || h == nil {
			return err
		}
		required, actor := "0", ""
		for _, a := range h.Attr {
			switch a.Name {
			case xml.Name{Space: v.envelope, Local: "mustUnderstand"}:
				required = strings.TrimSpace(a.Value)
			case xml.Name{Space: v.envelope, Local: v.actor}:
				actor = strings.TrimSpace(a.Value)
			}
		}
		switch {
		case !slices.Contains([]string{"0", "1", "true", "false"}, required):
			return callerFault("mustUnderstand of a header must be 0 or 1")
		case (required == "1" || required == "true") && slices.Contains(v.actors, actor):
			return &fault{code: mustUnderstand, reason: "the message has a header that must be understood, and none is here; WS-Security is not supported: send the name and the password by HTTP Basic authentication"}
		}
		if err := d.skip(); err != nil {
			return err
		}
	}
}

// body parses the content of a body: one element, which is the operation.
func (d *document) body() (call, error) {
	operation, err := d.start()
	if err != nil {
		return call{}, err
	}
	if operation == nil {
		return call{}, callerFault("the Body has no operation")
	}
	c := call{namespace: operation.Name.Space, operation: operation.Name.Local}
	if c.namespace != namespacePB && c.namespace != namespacePrecisely {
		return call{}, callerFault("the operation must be in the namespace of the WSDL document")
	}
	if err := d.parameters(&c); err != nil {
		return call{}, err
	}
	second, err := d.start()
	if err == nil && second != nil {
		err = callerFault("the Body has more than one operation")
	}
	return c, err
}

// parameters reads the parameters of an operation, in the namespace of the operation or in none.
// Unknown ones are ignored, as JAX-WS does.
func (d *document) parameters(c *call) error {
	for {
		p, err := d.start()
		if err != nil || p == nil {
			return err
		}
		if p.Name.Local != paramLifetime || p.Name.Space != "" && p.Name.Space != c.namespace {
			if err := d.skip(); err != nil {
				return err
			}
			continue
		}
		if c.hasLifetime {
			return callerFault(paramLifetime + " is there twice")
		}
		c.hasLifetime = true
		if c.lifetime, err = d.text(); err != nil {
			return err
		}
	}
}
