package soap

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
)

// Bounds of a document. The largest that a client of these services sends has a WS-Security header,
// and stays far below each.
const (
	maxDepth      = 32
	maxElements   = 512
	maxAttributes = 32 // of one element
	maxText       = 64 // bytes of a parameter's text
)

// errMalformed is the reason for every document that is not well-formed. A parser's own message
// would repeat text of the request.
var errMalformed = callerFault("the message is not well-formed XML 1.0 in UTF-8")

// document reads the tokens of an XML document, within bounds. It refuses document types, and with
// them all entities that a document declares, and processing instructions. encoding/xml checks
// that tags match and that entities are among the five of XML. It leaves three rules to its
// callers, which are checked here: a prefix is declared, an attribute is there once, and the XML
// declaration comes first.
type document struct {
	decoder  *xml.Decoder
	declared map[string]bool // namespaces
	begun    bool            // a token was read
	depth    int
	elements int
}

func newDocument(text []byte) *document {
	return &document{
		decoder:  xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\uFEFF")))), // a byte order mark, as .NET writes it
		declared: map[string]bool{"": true, "http://www.w3.org/XML/1998/namespace": true, "xml": true},
	}
}

// next returns the next start, end or text, and nil at the end of the document. It skips comments,
// and text that is white space alone.
func (d *document) next() (xml.Token, error) {
	for {
		t, err := d.decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil, nil //nolint:nilnil // nil is the end of the document
		}
		if err != nil {
			return nil, errMalformed
		}
		isFirst := !d.begun
		d.begun = true
		switch t := t.(type) {
		case xml.StartElement:
			return t, d.enter(t)
		case xml.EndElement:
			d.depth--
			return t, nil
		case xml.CharData:
			if len(bytes.Trim(t, " \t\r\n")) > 0 {
				return t, nil
			}
		case xml.Comment:
		case xml.ProcInst:
			if !isFirst || t.Target != "xml" {
				return nil, callerFault("the message has a processing instruction, which SOAP does not allow")
			}
		default:
			return nil, callerFault("the message has a document type, which SOAP does not allow")
		}
	}
}

// enter checks a start tag.
func (d *document) enter(t xml.StartElement) error {
	d.depth++
	d.elements++
	if d.depth > maxDepth || d.elements > maxElements || len(t.Attr) > maxAttributes {
		return callerFault("the message has too many elements, too many attributes, or is nested too deep")
	}
	for _, a := range t.Attr {
		switch {
		case a.Name.Space == "xmlns" && a.Value == "": // Namespaces in XML 1.0, section 5
			return errMalformed
		case a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns":
			d.declared[a.Value] = true
		}
	}
	// encoding/xml takes the prefix itself for the namespace where none is declared.
	isDeclared := d.declared[t.Name.Space]
	for i, a := range t.Attr {
		isDeclared = isDeclared && (a.Name.Space == "xmlns" || d.declared[a.Name.Space])
		if slices.ContainsFunc(t.Attr[:i], func(b xml.Attr) bool { return b.Name == a.Name }) {
			return errMalformed
		}
	}
	if !isDeclared {
		return errMalformed
	}
	return nil
}

// start returns the next start tag, or nil where the element that is being read ends. It refuses
// text.
func (d *document) start() (*xml.StartElement, error) {
	t, err := d.next()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case xml.StartElement:
		return &t, nil
	case xml.CharData:
		return nil, callerFault("the message has text between its elements")
	default:
		return nil, nil //nolint:nilnil // nil is the end of the element
	}
}

// skip reads an element to its end, whose start tag was read.
func (d *document) skip() error {
	for outer := d.depth; d.depth >= outer; {
		if _, err := d.next(); err != nil {
			return err
		}
	}
	return nil
}

// text returns the text of an element whose start tag was read, without white space around it.
func (d *document) text() (string, error) {
	var all strings.Builder
	for {
		t, err := d.next()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.EndElement:
			return strings.Trim(all.String(), " \t\r\n"), nil
		case xml.CharData:
			all.Write(t)
		default:
			return "", callerFault("a parameter has elements in place of text")
		}
		if all.Len() > maxText {
			return "", callerFault("a parameter is too long")
		}
	}
}
