package decode

import (
	"bufio"
	"mime"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// readForm adds the fields of a form or a query.
func (v values) readForm(known knownNames, text string) error {
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		// A semicolon was a separator once.
		if err1 != nil || err2 != nil || strings.Contains(pair, ";") {
			return badRequest("the fields are not written as those of a form")
		}
		if err := v.addText(known, name, value); err != nil {
			return err
		}
	}
	return nil
}

var errMultipart = badRequest("the body is not written as multipart/form-data, or ends too early")

// readMultipart adds the fields of a multipart body. Lines must end with CRLF. Nothing may precede
// the first delimiter, follow the last, or share a line with one: other parsers could find parts
// there, or miss some.
func (v values) readMultipart(known knownNames, text, boundary string) error {
	// Some programs write CRLF before the first delimiter too.
	text = "\r\n" + strings.TrimPrefix(text, "\r\n")
	parts := strings.SplitN(text, "\r\n--"+boundary, maxFields+3)
	last := len(parts) - 1
	if parts[0] != "" || last == 0 {
		return errMultipart
	}
	for _, part := range parts[1:last] {
		part, begins := strings.CutPrefix(part, "\r\n")
		head, value, whole := strings.Cut(part, "\r\n\r\n")
		header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(head + "\r\n\r\n"))).ReadMIMEHeader()
		if err != nil || !begins || !whole || strings.ContainsAny(strings.ReplaceAll(head, "\r\n", ""), "\r\n") {
			return errMultipart
		}
		name, ascii, err := parsePart(known, header)
		if err != nil {
			return err
		}
		if isPlainText(name) && !isPlainText(head) { // write refuses a name that is not text
			return errMultipart
		}
		if ascii && strings.ContainsFunc(value, func(r rune) bool { return r >= utf8.RuneSelf }) {
			return known.fieldError(name, notUTF8)
		}
		if err := v.addText(known, name, value); err != nil {
			return err
		}
	}
	if end := parts[last]; end != "--" && end != "--\r\n" {
		return errMultipart
	}
	return nil
}

const notUTF8 = "must be in UTF-8, and say so"

// parsePart parses the headers of a part. name is its field. ascii reports whether its value must
// be ASCII, because its character set shares no more than ASCII with UTF-8.
func parsePart(known knownNames, header textproto.MIMEHeader) (name string, ascii bool, err error) {
	disposition, err := partHeader(header, "Content-Disposition", "form-data")
	if err != nil || disposition["name"] == "" {
		return "", false, badRequest("a part does not say which field it is")
	}
	name = disposition["name"]
	if _, file := disposition["filename"]; file {
		return "", false, known.fieldError(name, "is a file, and files are not accepted")
	}
	_, err1 := partHeader(header, "Content-Transfer-Encoding", "7bit", "8bit", "binary")
	kind, err2 := partHeader(header, "Content-Type", "text/plain")
	if err1 != nil || err2 != nil {
		return "", false, known.fieldError(name, "must be text, as it is")
	}
	switch strings.ToLower(kind["charset"]) {
	case "", "utf-8":
		return name, false, nil
	case "us-ascii", "iso-8859-1": // some libraries declare it for every text
		return name, true, nil
	}
	return "", false, known.fieldError(name, notUTF8)
}

// partHeader returns the parameters of a part's header, which is absent or has one of the accepted
// values. It refuses parameters with a star (RFC 2231): forms must not use them (RFC 7578, section
// 4.2), and parsers that do would read another value.
func partHeader(header textproto.MIMEHeader, name string, accepted ...string) (map[string]string, error) {
	all := header[name]
	if len(all) == 0 {
		return nil, nil
	}
	value, parameters, err := mime.ParseMediaType(all[0])
	if err != nil || len(all) > 1 || strings.Contains(all[0], "*") || !slices.Contains(accepted, value) {
		return nil, errMultipart
	}
	return parameters, nil
}
