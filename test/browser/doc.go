// Package browser lets tests use the API UI in a real browser. Chromium opens the page, logs in and
// tries operations out, as a user would; any error or warning of the browser fails the test. The
// package's own tests run the page with a small server. Tests of the page with the operator are in
// test/e2e.
package browser
