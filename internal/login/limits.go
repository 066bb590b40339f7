package login

import (
	"cmp"

	"github.com/apptoken/operator/internal/record"
	"github.com/apptoken/operator/internal/token"
)

// Limits are the maximum numbers of logins that a user may have at a client at once. Each kind
// is counted by itself, so that a flood of one kind ends no login of another.
type Limits struct {
	MaxSessions      int // login tokens, with their refresh tokens
	MaxSessionTokens int
	MaxOpenTokens    int
}

// LimitOf returns how many logins of a kind a user may have at a client at once. The user's own
// limit counts, higher or lower, before that of the client.
func LimitOf(k token.Kind, u User, c Client) int {
	return cmp.Or(u.limitOf(k), c.limitOf(k))
}

func (l Limits) limitOf(k token.Kind) int {
	switch k {
	case token.Session:
		return l.MaxSessionTokens
	case token.Open:
		return l.MaxOpenTokens
	default:
		return l.MaxSessions
	}
}

// Group names the logins that count against one limit.
type Group struct {
	User   string // name of the User
	Client string
	Kind   token.Kind
}

// GroupOf returns the group of a login.
func GroupOf(r record.Record) Group {
	return Group{User: r.Owner.Name, Client: r.Client, Kind: r.Kind}
}
