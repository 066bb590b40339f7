package management

import "regexp"

// maxTokenName is the maximum length of the name of a token, in bytes.
const maxTokenName = 63

// tokenNamePattern matches the names that a new token can have, up to their length. Spaces are
// single, since a browser shows two as one. Letters are ASCII, since other letters have several
// spellings. A slash would end the segment of the path, a colon separates the namespace of a token
// that is declared, and gateways disagree about %.
var tokenNamePattern = regexp.MustCompile(`^[A-Za-z0-9](?: ?[A-Za-z0-9._~@+()-])*$`)

// CheckTokenName returns *Refused unless a new token can have the name.
func CheckTokenName(name string) error {
	if !isTokenName(name) {
		return newRefused("name", "must be 1 to %d letters, digits, ., _, ~, -, @, +, ( and ), with single spaces between them, the first a letter or digit", maxTokenName)
	}
	return nil
}

func isTokenName(name string) bool {
	return len(name) <= maxTokenName && tokenNamePattern.MatchString(name)
}
