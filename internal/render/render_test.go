package render_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/render"
	"github.com/apptoken/operator/internal/token"
)

var values = render.Values{
	Hint: "…abcd", Client: "acme", Name: "indexer", Namespace: "shop",
	Roles: []string{"developer", "primary"}, Permissions: []string{"search.query"},
	Version: 3, IssuedAt: "2030-01-02T03:04:05Z",
}

func mint(t testing.TB) token.Token {
	t.Helper()
	tok, err := token.Mint(token.Application, bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestRender_TemplateSeesValues(t *testing.T) {
	tok := mint(t)
	for name, c := range map[string]struct{ text, want string }{
		"the token":                  {"{{ .Token }}", tok.Reveal()},
		"a line of a file":           {"token = {{ quote .Token }} # {{ .Client }}", `token = "` + tok.Reveal() + `" # acme`},
		"a header for basic auth":    {"Basic {{ b64enc (print .Name \":\" .Token) }}", "Basic " + base64.StdEncoding.EncodeToString([]byte("indexer:"+tok.Reveal()))},
		"roles joined":               {`{{ join "," .Roles }} {{ .Token }}`, "developer,primary " + tok.Reveal()},
		"roles one by one":           {"{{ range .Roles }}{{ . }};{{ end }}{{ .Token }}", "developer;primary;" + tok.Reveal()},
		"a document":                 {`{"t":{{ toJson .Token }},"p":{{ toJson .Permissions }},"v":{{ .Version }}}`, `{"t":"` + tok.Reveal() + `","p":["search.query"],"v":3}`},
		"a condition on its expiry":  {"{{ if .ExpiresAt }}ends{{ else }}stays{{ end }} {{ .Token }}", "stays " + tok.Reveal()},
		"a token within a query":     {"?t={{ urlquery .Token }}&n={{ urlquery .Namespace }}", "?t=" + tok.Reveal() + "&n=shop"},
		"what with puts at the dot":  {"{{ with .Client }}{{ . }}{{ end }} {{ .Token }}", "acme " + tok.Reveal()},
		"when it was issued, a hint": {"{{ .IssuedAt }} {{ .Hint }} {{ .Token }}", "2030-01-02T03:04:05Z …abcd " + tok.Reveal()},
	} {
		t.Run(name, func(t *testing.T) {
			ts, err := render.Compile(map[string]string{"key": c.text})
			if err != nil {
				t.Fatal(err)
			}
			data, err := ts.Render(values, tok)
			if err != nil {
				t.Fatal(err)
			}
			if string(data["key"]) != c.want {
				t.Errorf("the template made another text than it says") // without the text, which holds the token
			}
			if found, ok := render.Find(data, tok.Digest()); !ok || !tok.Digest().Matches(found) {
				t.Error("the token is not found again in what was made of it")
			}
		})
	}
}

// TestCompile_RejectsHarmfulTemplates checks row 5 of the threat model: template
// functions that read the cluster. It also checks loops and recursion that would not end.
func TestCompile_RejectsHarmfulTemplates(t *testing.T) {
	deep := "{{ .Token }}{{ with .Client }}" + strings.Repeat("{{ with print . . }}", 60) + strings.Repeat("{{ end }}", 61)
	for name, c := range map[string]struct{ text, says string }{
		"a function that is not listed":            {`{{ lookup "v1" "Secret" "kube-system" "x" }}`, `function "lookup" not defined`},
		"the environment":                          {`{{ env "HOME" }}`, `function "env" not defined`},
		"a listed function calling a hidden one":   {`{{ print (call .Token) }}`, "calls call, which is none of"},
		"printf, whose width is a lever":           {`{{ printf "%1000000d" 1 }}`, "calls printf, which is none of: and, b64enc"},
		"a range over a number":                    {`{{ range 1000000000 }}x{{ end }}`, "ranges over something else"},
		"a range over a text":                      {`{{ range .Token }}x{{ end }}`, "ranges over something else"},
		"a range within a range":                   {`{{ range .Roles }}{{ range $.Roles }}x{{ end }}{{ end }}`, "within another range"},
		"a template that calls itself":             {`{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}`, "defines another template"},
		"a call of a template":                     {`{{ template "key" }}`, "construct that is not allowed"},
		"a block":                                  {`{{ block "b" . }}{{ end }}`, "defines another template"},
		"a text that ends in the middle":           {`{{ .Token`, "unclosed action"},
		"a value that there is not":                {`{{ .Password }}`, `no entry for key "Password"`},
		"a value of another value":                 {`{{ .Token.Secret }}`, "can't evaluate field Secret"},
		"an index that is out of range":            {`{{ index .Roles 99 }}`, "out of range"},
		"a text that doubles over and over":        {deep, "bytes"},
		"a variable that doubles over and over":    {"{{ .Token }}{{ $x := .Client }}" + strings.Repeat("{{ $x = print $x $x }}", 60), "bytes"},
		"the token in no form that is found again": {`{{ b64enc (b64enc .Token) }}`, "no key holds the token"},
		"a part of the token":                      {`{{ slice .Token 0 20 }}`, "takes a part of it"},
		"a byte of the token as an index":          {`{{ .Token }}{{ index .Roles (index .Token 5) }}`, "takes a part of it"},
		"a byte of the token as an end":            {`{{ .Token }}{{ slice .Client 0 (index $.Token 5) }}`, "takes a part of it"},
		"a failure that depends on the token":      {`{{ .Token }}{{ if gt (index .Token 5) 70 }}{{ index .Roles 9 }}{{ end }}`, "decides by the token"},
		"a comparison with the token":              {`{{ .Token }}{{ and (lt .Token "b") (index .Roles 9) }}`, "decides by the token"},
		"the token handed on in a pipe":            {`{{ .Token }}{{ .Token | print | len }}`, "takes a part of it"},
		"the token behind a variable":              {`{{ .Token }}{{ $t := print .Token }}{{ index .Roles (len $t) }}`, "takes a part of it"},
		"the token behind the dot":                 {`{{ .Token }}{{ with .Token }}{{ index . 5 }}{{ end }}`, "decides by the token"},
		"the token by its name":                    {`{{ .Token }}{{ index (index . "Token") 5 }}`, "takes a part of it"},
		"the token by its name, from within":       {`{{ .Token }}{{ range .Roles }}{{ index $ "Token" }}{{ end }}`, "takes a part of it"},
		"all values behind the dot":                {`{{ .Token }}{{ with $ }}{{ .Token }}{{ end }}`, "decides by the token"},
		"nothing":                                  {``, "no key holds the token"},
	} {
		t.Run(name, func(t *testing.T) {
			tok := mint(t)
			ts, err := render.Compile(map[string]string{"key": c.text})
			if err == nil {
				_, err = ts.Render(values, tok)
			}
			if err == nil {
				t.Fatal("it was accepted")
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("it says %q; want something with %q", err, c.says)
			}
			if strings.Contains(err.Error(), tok.Reveal()[4:20]) { // invariant 1
				t.Error("the error holds a part of the token")
			}
		})
	}
}

func TestRender_UnknownValueNamesKeyAndValues(t *testing.T) {
	ts, err := render.Compile(map[string]string{"password": "{{ .Tokn }}"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = ts.Render(values, mint(t))
	if err == nil {
		t.Fatal("it was accepted")
	}
	for _, want := range []string{
		`key "password"`, "<.Tokn>",
		"templates may use: .Client, .ExpiresAt, .Hint, .IssuedAt, .Name, .Namespace, .Permissions, .Roles, .Token, .Version",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it says %q; want %q in it", err, want)
		}
	}
}

func TestRender_OneKeyWithTokenSuffices(t *testing.T) {
	ts, err := render.Compile(map[string]string{"user": "{{ .Name }}", "token": "{{ .Token }}"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := ts.Render(values, mint(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(data["user"]); got != "indexer" {
		t.Errorf("key user holds %q", got)
	}
}

func TestRender_IsDeterministic(t *testing.T) {
	ts, err := render.Compile(map[string]string{"a": "{{ toJson .Roles }}{{ .Token }}", "b": "{{ .IssuedAt }}"})
	if err != nil {
		t.Fatal(err)
	}
	first, err1 := ts.Render(values, mint(t))
	second, err2 := ts.Render(values, mint(t))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if !maps.EqualFunc(first, second, bytes.Equal) {
		t.Error("two renderings differ")
	}
}

// TestFunctions_MatchReviewedList pins the list of row 4 of the threat model. A developer who adds
// a function must add it here, and consider what it reveals.
func TestFunctions_MatchReviewedList(t *testing.T) {
	want := "and b64enc eq ge gt index join le len lt ne not or print quote slice toJson urlquery"
	if got := strings.Join(render.Functions(), " "); got != want {
		t.Errorf("templates may call\n%s, want\n%s", got, want)
	}
}

func TestFind_FindsWholeTokensOnly(t *testing.T) {
	tok := mint(t)
	for name, c := range map[string]struct {
		value string
		found bool
	}{
		"alone":                    {tok.Reveal(), true},
		"within a text":            {"a=" + tok.Reveal() + "\n", true},
		"in base64":                {base64.StdEncoding.EncodeToString([]byte("x:" + tok.Reveal())), true},
		"cut short":                {tok.Reveal()[:40], false},
		"with digits behind it":    {tok.Reveal() + "00", false},
		"with one digit exchanged": {strings.Replace(tok.Reveal(), tok.Reveal()[10:11], "~", 1), false},
		"empty":                    {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, ok := render.Find(map[string][]byte{"k": []byte(c.value)}, tok.Digest()); ok != c.found {
				t.Errorf("found: %v, want %v", ok, c.found)
			}
		})
	}
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"{{ .Token }}", "{{ range .Roles }}{{ . }}{{ end }}", "{{ with print . . }}{{ . }}{{ end }}", "{{ $x := 1 }}{{ index .Roles $x }}", "{{"} {
		f.Add(seed)
	}
	tok := mint(f)
	f.Fuzz(func(t *testing.T, text string) {
		ts, err := render.Compile(map[string]string{"key": text})
		if err == nil {
			_, err = ts.Render(values, tok)
		}
		if err != nil && strings.Contains(err.Error(), tok.Reveal()[4:20]) {
			t.Error("the error holds a part of the token")
		}
	})
}

func TestTokens_FindsPlainAndEncoded(t *testing.T) {
	a := mint(t)
	b, err := token.Mint(token.UserApplication, bytes.NewReader(bytes.Repeat([]byte{9}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	data := map[string][]byte{
		"plain": []byte("Bearer " + a.Reveal()), "encoded": []byte(base64.StdEncoding.EncodeToString([]byte("x:" + b.Reveal()))), "none": []byte("password"),
	}
	found := map[token.Digest]bool{}
	for tok := range render.Tokens(data) {
		found[tok.Digest()] = true
	}
	if len(found) != 2 || !found[a.Digest()] || !found[b.Digest()] {
		t.Errorf("%d tokens are found", len(found))
	}
	for range render.Tokens(data) {
		break // nothing is yielded after that, or this would panic
	}
}
