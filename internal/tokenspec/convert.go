package tokenspec

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MetaTimeOrNil converts a time to the form of the API. It returns nil for the zero time.
func MetaTimeOrNil(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return new(metav1.NewTime(t))
}

// TypedStrings converts strings to a string type of the API.
func TypedStrings[T ~string](list []string) []T {
	var out []T
	for _, v := range list {
		out = append(out, T(v))
	}
	return out
}

// SortedStrings converts values of a string type of the API to strings: sorted, each once.
func SortedStrings[T ~string](list []T) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// JoinFirst returns the first entries of a list as text, so that a message stays readable.
func JoinFirst(list []string) string {
	const maxEntries = 5
	if len(list) <= maxEntries {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:maxEntries], ", "), len(list)-maxEntries)
}
