package logging

import (
	"encoding/base64"
	"io"
	"regexp"
	"strings"

	"github.com/apptoken/operator/internal/token"
)

// Redactor is the last defense of the log. It lets no token pass, whichever error holds it, nor the
// base64 of a token, which is how bytes are logged.
type Redactor struct{ To io.Writer }

// Write implements io.Writer. A token must not be split between two calls; loggers write a line at
// once.
func (r Redactor) Write(line []byte) (int, error) {
	safe := base64Pattern.ReplaceAllStringFunc(token.Redact(string(line)), redactEncoded)
	if _, err := io.WriteString(r.To, safe); err != nil {
		return 0, err
	}
	return len(line), nil
}

// base64Pattern matches text that is long enough to be the base64, in either alphabet, of what
// token.Redact takes for a token.
var base64Pattern = regexp.MustCompile(`[0-9A-Za-z+/_-]{27,}`)

var toStandardAlphabet = strings.NewReplacer("-", "+", "_", "/")

// redactEncoded cuts digits off where the secret of a token begins in what they decode to. The
// encoding may begin at any of the first four digits: text before it, such as the n of \n, can look
// like a digit.
func redactEncoded(digits string) string {
	for start := range min(4, len(digits)) {
		whole := start + (len(digits)-start)/4*4
		plain, err := base64.RawStdEncoding.DecodeString(toStandardAlphabet.Replace(digits[start:whole]))
		if err != nil {
			continue
		}
		if safe := token.Redact(string(plain)); safe != string(plain) {
			secret := 0
			for plain[secret] == safe[secret] {
				secret++
			}
			return redactEncoded(digits[:start+secret/3*4]) + "[redacted]"
		}
	}
	return digits
}
