// Package browser holds the tests of the API UI in a real browser: Chromium opens the page, logs in and tries doors out,
// as a person would, and whatever it complains of fails the test.
package browser
