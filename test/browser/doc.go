// Package browser lets tests see the API UI in a real browser: Chromium opens the page, logs in and tries operations out,
// as a person would, and whatever it complains of fails the test. Its own tests are of the page alone, beside a small server;
// those of the page beside the operator are in test/e2e.
package browser
