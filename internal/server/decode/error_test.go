package decode_test

import (
	"net/http/httptest"
	"testing"

	"github.com/apptoken/operator/internal/server/decode"
)

// Whatever is malformed at the place of the secret, the error does not show the secret.
func TestError_NeverShowsSecret(t *testing.T) {
	for name, x := range map[string][3]string{
		"form":      {"", formType, "username=a&password=b&account_id=1&remember-me=1&roles=c,d&x=y"},
		"parts":     {"", multipartType, multipartOf(partWith("username", "a"), partWith("account_id", "1", "Content-Type: text/plain; charset=utf-8"))},
		"JSON":      {"", jsonType, `{"username":"a","account_id":-1,"remember-me":true,"roles":["c"],"x":{"y":[null,1e3]}}`},
		"no type":   {"", "", "a"},
		"query":     {"username=a&account_id=1&remember-me=1&roles=c", "", ""},
		"all types": {"username=a&x", multipartType + "; charset=utf-8", multipartOf(partWith("password", "b"))},
	} {
		refusals := 0
		for at, text := range x {
			for i := range len(text) + 1 {
				for _, junk := range []string{"", "\xff", "\x00", "%zz", ";", `"`, `\`, "\r\n", "{", "[", "=", "&", ",", ":", `\u0000`, " ", "*"} {
					for _, mark := range []string{secret + junk, junk + secret, `"` + secret + junk} {
						y := x
						y[at] = text[:i] + mark + text[i:]
						f, err := readAll(newRequest(y[0], y[1], y[2]))
						if err == nil {
							_, err = loginOf(f)
						}
						if got := refusalOf(t, err); got.status != 0 {
							refusals++
						}
						if at == 2 {
							_, err = decode.ReadInto[application](httptest.NewRecorder(), newRequest("", jsonType, y[2]), maxBody)
							refusalOf(t, err)
						}
					}
				}
			}
		}
		if refusals < 100 {
			t.Errorf("%s: no more than %d were refused: did they fail where they should?", name, refusals)
		}
	}
}
