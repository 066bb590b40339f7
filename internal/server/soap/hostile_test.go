package soap_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/apptoken/operator/internal/testing/servertest"
)

const mark = servertest.PasswordMark

// hostileMessage is a message that is refused, of either version of SOAP.
type hostileMessage struct {
	code string // empty: that of a fault of the caller
	text func(v soapVersion) string
}

// with returns a message of a valid call in which one text replaces another.
func with(old, replacement string) func(v soapVersion) string {
	return func(v soapVersion) string {
		valid := v.call("getAccessExpiringToken", minutes("5"))
		if !strings.Contains(valid, old) {
			panic(old)
		}
		return strings.Replace(valid, old, replacement, 1)
	}
}

// before returns a message with a text before the envelope.
func before(text string) func(v soapVersion) string { return with("<s:Envelope", text+"<s:Envelope") }

// body returns a message with the content of its body.
func body(text string) func(v soapVersion) string {
	return func(v soapVersion) string { return v.message(text) }
}

// lifetime returns a message that asks for a lifetime.
func lifetime(text string) func(v soapVersion) string {
	return func(v soapVersion) string { return v.call("getAccessExpiringToken", text) }
}

const bomb = `<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>`

// hostileMessages are the messages that are refused, by what is wrong with each.
//
// [rows 10, 15, 16, 17]
var hostileMessages = map[string]hostileMessage{
	"nothing":                         {text: func(soapVersion) string { return "" }},
	"white space":                     {text: func(soapVersion) string { return " \n" }},
	"JSON":                            {text: func(soapVersion) string { return `{"a":"` + mark + `"}` }},
	"a form":                          {text: func(soapVersion) string { return "username=a&password=" + mark }},
	"another document":                {text: func(soapVersion) string { return "<html><body>" + mark + "</body></html>" }},
	"a document type":                 {text: before(`<!DOCTYPE Envelope>`)},
	"a document type of another host": {text: before(`<!DOCTYPE a SYSTEM "http://` + mark + `.example.com/a.dtd">`)},
	"an entity bomb":                  {text: func(v soapVersion) string { return bomb + strings.Replace(with(">5<", ">&c;<")(v), bomb, "", 1) }},
	"an external entity": {text: func(v soapVersion) string {
		return `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + with(">5<", ">&x;<")(v)
	}},
	"a parameter entity":                 {text: before(`<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1/">%x;]>`)},
	"a document type in the envelope":    {text: with("<s:Header/>", "<!DOCTYPE a>")},
	"an unknown entity":                  {text: with(">5<", ">&"+mark+";<")},
	"an entity of HTML":                  {text: with(">5<", ">&nbsp;5<")},
	"XInclude":                           {text: lifetime(`<tokenLifeInMinutes><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/></tokenLifeInMinutes>`)},
	"a stylesheet":                       {text: before(`<?xml-stylesheet href="` + mark + `"?>`)},
	"an instruction in the body":         {text: with("<tokenLife", "<?php "+mark+" ?><tokenLife")},
	"an XML declaration that comes late": {text: before(` <?xml version="1.0"?>`)},
	"two XML declarations":               {text: before(`<?xml version="1.0"?><?xml version="1.0"?>`)},
	"XML 1.1":                            {text: before(`<?xml version="1.1"?>`)},
	"UTF-16 by declaration":              {text: before(`<?xml version="1.0" encoding="UTF-16"?>`)},
	"another encoding":                   {text: before(`<?xml version="1.0" encoding="` + mark + `"?>`)},
	"UTF-16": {text: func(v soapVersion) string {
		return "\xff\xfe" + strings.Join(strings.Split(with("5", "5")(v), ""), "\x00") + "\x00"
	}},
	"bytes that are not UTF-8":           {text: with(">5<", ">\xff5<")},
	"a NUL":                              {text: with(">5<", ">5\x00<")},
	"a reference to a NUL":               {text: with(">5<", ">5&#0;<")},
	"a tag that is not closed":           {text: with("</s:Envelope>", "")},
	"a tag that is closed twice":         {text: with("</s:Envelope>", "</s:Envelope></s:Envelope>")},
	"tags that cross":                    {text: with("</t:getAccessExpiringToken></s:Body>", "</s:Body></t:getAccessExpiringToken>")},
	"an attribute without quotes":        {text: with("<s:Body>", "<s:Body a=b>")},
	"an attribute twice":                 {text: with("<s:Body>", `<s:Body a="1" a="2">`)},
	"an attribute twice by two prefixes": {text: with("<s:Body>", `<s:Body xmlns:p="urn:x" xmlns:q="urn:x" p:a="1" q:a="2">`)},
	"a prefix that is not declared":      {text: with("<tokenLifeInMinutes>5</tokenLifeInMinutes>", "<u:tokenLifeInMinutes>5</u:tokenLifeInMinutes>")},
	"a prefix of an attribute alike":     {text: with("<s:Body>", `<s:Body u:a="1">`)},
	"a prefix without a namespace":       {text: with("<tokenLifeInMinutes>5</tokenLifeInMinutes>", `<u:tokenLifeInMinutes xmlns:u="">5</u:tokenLifeInMinutes>`)},
	"an element after the envelope":      {text: func(v soapVersion) string { return with("5", "5")(v) + "<a/>" }},
	"a second envelope":                  {text: func(v soapVersion) string { return with("5", "5")(v) + with("5", "6")(v) }},
	"text after the envelope":            {text: func(v soapVersion) string { return with("5", "5")(v) + mark }},
	"an instruction after the envelope":  {text: func(v soapVersion) string { return with("5", "5")(v) + "<?a b?>" }},
	"no namespace of the envelope":       {code: "soap:VersionMismatch", text: func(soapVersion) string { return "<Envelope><Body/></Envelope>" }},
	"a SOAP of the future": {code: "soap:VersionMismatch", text: func(v soapVersion) string {
		return strings.Replace(with("5", "5")(v), v.envelope, "http://www.w3.org/2099/soap", 1)
	}},
	"the namespace of a draft": {code: "soap:VersionMismatch", text: func(v soapVersion) string {
		return strings.Replace(with("5", "5")(v), v.envelope, "http://www.w3.org/2001/12/soap-envelope", 1)
	}},
	"an envelope of another name": {text: func(v soapVersion) string { return strings.ReplaceAll(with("5", "5")(v), "s:Envelope", "s:Letter") }},
	"no body":                     {text: with("<s:Body>", "<s:Head>")},
	"an empty envelope":           {text: func(v soapVersion) string { return `<s:Envelope xmlns:s="` + v.envelope + `"/>` }},
	"a body of the other version": {text: func(v soapVersion) string {
		return strings.NewReplacer("<s:Body>", `<o:Body xmlns:o="urn:x">`, "</s:Body>", "</o:Body>").Replace(with("5", "5")(v))
	}},
	"two bodies":                            {text: with("</s:Body>", `</s:Body><s:Body><t:getAccessToken/></s:Body>`)},
	"an element after the body":             {text: with("</s:Body>", `</s:Body><a>`+mark+`</a>`)},
	"a header after the body":               {text: with("</s:Body>", `</s:Body><s:Header/>`)},
	"two headers":                           {text: with("<s:Header/>", "<s:Header/><s:Header/>")},
	"text in the envelope":                  {text: with("<s:Header/>", mark)},
	"text in the body":                      {text: body(mark)},
	"text beside the operation":             {text: body("<t:getAccessToken/>" + mark)},
	"text in the operation":                 {text: lifetime(mark + minutes("5"))},
	"an empty body":                         {text: body("")},
	"two operations":                        {text: body("<t:getAccessToken/><t:getAccessToken/>")},
	"two of which one is unknown":           {text: body("<t:getAccessToken/><t:other/>")},
	"an unknown operation":                  {text: body("<t:" + mark + "/>")},
	"an operation in small letters":         {text: body("<t:getaccesstoken/>")},
	"the answer of an operation":            {text: body("<t:getAccessTokenResponse/>")},
	"the operation of the other service":    {text: body("<t:logout/>")},
	"an operation without a namespace":      {text: body("<getAccessToken/>")},
	"an operation of another namespace":     {text: body(`<getAccessToken xmlns="http://` + mark + `.example.com/"/>`)},
	"the namespace without its slash":       {text: body(`<getAccessToken xmlns="` + strings.TrimSuffix(namespacePB, "/") + `"/>`)},
	"a fault":                               {text: body("<s:Fault/>")},
	"no lifetime":                           {text: lifetime("")},
	"a lifetime of another namespace":       {text: lifetime(`<tokenLifeInMinutes xmlns="urn:x">5</tokenLifeInMinutes>`)},
	"a lifetime in small letters":           {text: lifetime("<tokenlifeinminutes>5</tokenlifeinminutes>")},
	"a lifetime as attribute":               {text: body(`<t:getAccessExpiringToken tokenLifeInMinutes="5"/>`)},
	"a lifetime twice":                      {text: lifetime(minutes("5") + minutes("5"))},
	"a lifetime twice, once in a namespace": {text: lifetime(minutes("5") + "<t:tokenLifeInMinutes>0</t:tokenLifeInMinutes>")},
	"a lifetime that is nil":                {text: lifetime(`<tokenLifeInMinutes xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/>`)},
	"an empty lifetime":                     {text: lifetime(minutes(""))},
	"a lifetime of white space":             {text: lifetime(minutes(" \n"))},
	"a lifetime below zero":                 {text: lifetime(minutes("-1"))},
	"a lifetime of minus zero":              {text: lifetime(minutes("-0"))},
	"a lifetime with a sign":                {text: lifetime(minutes("+5"))},
	"a lifetime with a point":               {text: lifetime(minutes("5.0"))},
	"a lifetime in hours":                   {text: lifetime(minutes("1h"))},
	"a lifetime in hexadecimal":             {text: lifetime(minutes("0x10"))},
	"a lifetime with zeros before it":       {text: lifetime(minutes("005"))},
	"a lifetime that is text":               {text: lifetime(minutes(mark))},
	"a lifetime in other digits":            {text: lifetime(minutes("５"))},
	"a lifetime of two numbers":             {text: lifetime(minutes("5 5"))},
	"a lifetime that is too long":           {text: lifetime(minutes("5270401"))},
	"a lifetime that overflows":             {text: lifetime(minutes("9223372036854775808"))},
	"a lifetime that overflows in time":     {text: lifetime(minutes("153722867280912931"))},
	"a lifetime of many digits":             {text: lifetime(minutes(strings.Repeat("1", 1000)))},
	"a lifetime with an element":            {text: lifetime(minutes("5<a/>"))},
	"a lifetime of an endless operation":    {text: func(v soapVersion) string { return v.call("getAccessToken", minutes("5")) }},
	"a header that must be understood":      {code: "soap:MustUnderstand", text: with("<s:Header/>", `<s:Header><w:Security xmlns:w="urn:wsse" s:mustUnderstand="1"><w:Password>`+mark+`</w:Password></w:Security></s:Header>`)},
	"one of two":                            {code: "soap:MustUnderstand", text: with("<s:Header/>", `<s:Header><a xmlns="urn:a">x<b/></a><a xmlns="urn:b" s:mustUnderstand=" true "/></s:Header>`)},
	"mustUnderstand of another value":       {text: with("<s:Header/>", `<s:Header><a xmlns="urn:a" s:mustUnderstand="`+mark+`"/></s:Header>`)},
	"text in the header":                    {text: with("<s:Header/>", `<s:Header>`+mark+`</s:Header>`)},
	"many nested elements":                  {text: lifetime(strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000))},
	"many elements":                         {text: lifetime(strings.Repeat("<a/>", 5000))},
	"many elements in the header":           {text: with("<s:Header/>", `<s:Header>`+strings.Repeat("<a/>", 5000)+`</s:Header>`)},
	"many attributes":                       {text: with("<s:Body>", "<s:Body"+manyAttributes(1000)+">")},
	"many namespaces":                       {text: with("<s:Body>", "<s:Body"+strings.ReplaceAll(manyAttributes(1000), " a", " xmlns:a")+">")},
}

func manyAttributes(n int) string {
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, ` a%d="x"`, i)
	}
	return all.String()
}

func TestMessage_HostileOnesAreFaults(t *testing.T) {
	h := servertest.NewLoginServer(t)
	for name, x := range hostileMessages {
		for which, v := range versions {
			code, status := x.code, http.StatusInternalServerError
			if code == "" {
				code, status = v.caller, v.callerStatus
			}
			got, a := post(h, pathManager, servertest.Basic("alice"), v.body(x.text(v)))
			if gotCode, text := a.fault(); got.Status != status || gotCode != code || text == "" || strings.Contains(got.Body, mark) || len(got.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s, %s: %d %v %s", name, which, got.Status, got.Header.Values("Set-Cookie"), got.Body)
			}
		}
	}
	if h.Store.WriteCounts() != [2]int{} || len(h.LoginResults.All) > 0 {
		t.Errorf("something was written, or a login tried: %v %q", h.Store.WriteCounts(), h.LoginResults.All)
	}
	h.CheckNoSecretInAudit()
}

// The bounds are those of a message that clients send, with room.
func TestMessage_BoundsLeaveRoom(t *testing.T) {
	h := servertest.NewLoginServer(t)
	for name, text := range map[string]string{
		"nested headers":     "<s:Header>" + strings.Repeat("<a>", 25) + strings.Repeat("</a>", 25) + "</s:Header>",
		"many headers":       "<s:Header>" + strings.Repeat("<a b='c'/>", 400) + "</s:Header>",
		"a large header":     "<s:Header><a>" + strings.Repeat("x", 60<<10) + "</a></s:Header>",
		"many namespaces":    "<s:Header><a" + strings.ReplaceAll(manyAttributes(30), " a", " xmlns:a") + "/></s:Header>",
		"comments elsewhere": "<!--" + strings.Repeat("x", 1000) + "-->",
	} {
		got, a := post(h, pathManager, servertest.Basic("alice"), soap11.body(with("<s:Header/>", text)(soap11)))
		if got.Status != http.StatusOK || a.token().Token == "" {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
}

func TestMessage_MediaTypeAndActionAreChecked(t *testing.T) {
	h := servertest.NewLoginServer(t)
	valid, valid12 := with("5", "5")(soap11), with("5", "5")(soap12)
	action := func(text ...string) []servertest.RequestOption {
		return []servertest.RequestOption{servertest.Header("Soapaction", text...)}
	}
	for name, x := range map[string]struct {
		kind, text string
		headers    []servertest.RequestOption
		status     int
	}{
		"no media type":                      {"", valid, nil, 415},
		"two media types":                    {"text/xml", valid, []servertest.RequestOption{servertest.Header("Content-Type", "text/xml")}, 415},
		"application/xml":                    {"application/xml", valid, nil, 415},
		"JSON":                               {"application/json", valid, nil, 415},
		"a form":                             {servertest.ContentTypeForm, valid, nil, 415},
		"attachments":                        {`multipart/related; type="text/xml"; boundary=x`, "--x\r\nContent-Type: text/xml\r\n\r\n" + valid + "\r\n--x--", nil, 415},
		"MTOM":                               {`multipart/related; type="application/xop+xml"; boundary=x; start-info="text/xml"`, "--x\r\n\r\n" + valid + "\r\n--x--", nil, 415},
		"a media type that cannot be read":   {"text/xml; charset", valid, nil, 415},
		"UTF-16":                             {"text/xml; charset=utf-16", valid, nil, 415},
		"Latin-1":                            {"text/xml; charset=iso-8859-1", valid, nil, 415},
		"compression":                        {"text/xml", valid, []servertest.RequestOption{servertest.Header("Content-Encoding", "gzip")}, 415},
		"another operation as SOAPAction":    {"text/xml", valid, action(`"getAccessToken"`), 500},
		"the other service's":                {"text/xml", valid, action("logout"), 500},
		"one in another place":               {"text/xml", valid, action("urn:" + mark), 500},
		"two SOAPActions":                    {"text/xml", valid, action("getAccessExpiringToken", "logout"), 500},
		"another SOAPAction with SOAP 1.2":   {"application/soap+xml", valid12, action("logout"), 400},
		"another action of SOAP 1.2":         {`application/soap+xml; action="logout"`, valid12, nil, 400},
		"too large":                          {"text/xml", strings.Replace(valid, "<s:Header/>", "<s:Header>"+strings.Repeat(" ", 64<<10)+"</s:Header>", 1), nil, 413},
		"10 MB":                              {"text/xml", "<!--" + strings.Repeat("x", 10<<20), nil, 413},
		"10 MB of SOAP 1.2":                  {"application/soap+xml", "<!--" + strings.Repeat("x", 10<<20), nil, 413},
		"64 KiB of one attribute":            {"text/xml", `<a b="` + strings.Repeat("x", 63<<10), nil, 500},
		"64 KiB of open elements, in little": {"text/xml", strings.Repeat("<a>", 21<<10), nil, 500},
	} {
		options := append([]servertest.RequestOption{servertest.RawBody(x.kind, x.text), servertest.Basic("alice")}, x.headers...)
		got, a := post(h, pathManager, options...)
		want := soap11
		if strings.HasPrefix(x.kind, soap12.mediaType) {
			want = soap12
		}
		if code, text := a.fault(); got.Status != x.status || code != want.caller || text == "" || strings.Contains(got.Body, mark) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	if h.Store.WriteCounts() != [2]int{} || len(h.LoginResults.All) > 0 {
		t.Errorf("something was written, or a login tried: %v %q", h.Store.WriteCounts(), h.LoginResults.All)
	}
	h.CheckNoSecretInAudit()
}
