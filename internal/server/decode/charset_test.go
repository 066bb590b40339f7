package decode_test

import (
	"net/http/httptest"
	"testing"

	"github.com/apptoken/operator/internal/server/decode"
)

// Old libraries declare ISO-8859-1 for every form. Nearly all forms are ASCII, which is the same in
// UTF-8.
func TestCharset_ASCIIFormOfOldCharsetIsRead(t *testing.T) {
	for body, ok := range map[string]bool{
		"username=anna&password=p%26q": true, "username=anna&password=p+q%7e": true,
		"username=anna&password=p%e9": false, "username=anna&password=p%C3%A9": false, "username=anna&password=\xe9": false,
	} {
		for _, charset := range []string{"ISO-8859-1", "us-ascii"} {
			f, err := decode.Read(httptest.NewRecorder(), newRequest("", formType+"; charset="+charset, body), maxBody, decode.Body, "username", "password")
			name, _, _ := f.Text("username")
			if (err == nil) != ok || ok && name != "anna" {
				t.Errorf("%s in %s: %q, %v", body, charset, name, err)
			}
		}
	}
}
