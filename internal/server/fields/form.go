package fields

import (
	"bufio"
	"mime"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// readForm adds the fields of a form or of a query.
func (v values) readForm(known names, text string) error {
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil || strings.Contains(pair, ";") { // which was a separator once
			return bad("the fields are not written as those of a form")
		}
		if err := v.write(known, name, value); err != nil {
			return err
		}
	}
	return nil
}

var errMultipart = bad("the body is not written as multipart/form-data, or ends too early")

// readMultipart adds the fields of a body in parts. Lines end as they must, and nothing is before the first delimiter or
// behind the last, nor in a line with one: other readers may find parts there, or miss some.
func (v values) readMultipart(known names, text, boundary string) error {
	text = "\r\n" + strings.TrimPrefix(text, "\r\n") // some programs write it before each delimiter
	parts := strings.SplitN(text, "\r\n--"+boundary, mostFields+3)
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
		name, ascii, err := partOf(known, header)
		if err != nil {
			return err
		}
		if plain(name) && !plain(head) { // of a name, write says so
			return errMultipart
		}
		if ascii && strings.ContainsFunc(value, func(r rune) bool { return r >= utf8.RuneSelf }) {
			return known.wrong(name, notUTF8)
		}
		if err := v.write(known, name, value); err != nil {
			return err
		}
	}
	if end := parts[last]; end != "--" && end != "--\r\n" {
		return errMultipart
	}
	return nil
}

const notUTF8 = "must be in UTF-8, and say so"

// partOf reads the headers of a part: which field it is, and whether it must be in ASCII, since it says that it is in a
// character set that has no more in common with UTF-8.
func partOf(known names, header textproto.MIMEHeader) (name string, ascii bool, err error) {
	disposition, err := once(header, "Content-Disposition", "form-data")
	if err != nil || disposition["name"] == "" {
		return "", false, bad("a part does not say which field it is")
	}
	name = disposition["name"]
	if _, file := disposition["filename"]; file {
		return "", false, known.wrong(name, "is a file, and files are not accepted")
	}
	_, err1 := once(header, "Content-Transfer-Encoding", "7bit", "8bit", "binary")
	kind, err2 := once(header, "Content-Type", "text/plain")
	if err1 != nil || err2 != nil {
		return "", false, known.wrong(name, "must be text, as it is")
	}
	switch strings.ToLower(kind["charset"]) {
	case "", "utf-8":
		return name, false, nil
	case "us-ascii", "iso-8859-1": // some libraries say so of every text
		return name, true, nil
	}
	return "", false, known.wrong(name, notUTF8)
}

// once reads the parameters of a header of a part, which has one of some values or is not there. Parameters with a star
// (RFC 2231) are not those of a form (RFC 7578, 4.2), and say what others see elsewhere.
func once(header textproto.MIMEHeader, name string, accepted ...string) (map[string]string, error) {
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
