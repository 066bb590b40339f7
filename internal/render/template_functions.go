package render

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// functions holds the functions of this package. Some replace functions of text/template that would
// let a few lines double a text over and over.
var functions = template.FuncMap{
	"b64enc": func(s string) (string, error) {
		return boundedCall(func() string { return base64.StdEncoding.EncodeToString([]byte(s)) }, s)
	},
	"toJson":   toJSON,
	"quote":    func(s string) (string, error) { return toJSON(s) },
	"urlquery": func(s string) (string, error) { return boundedCall(func() string { return url.QueryEscape(s) }, s) },
	"print": func(args ...any) (string, error) {
		return boundedCall(func() string { return fmt.Sprint(args...) }, args...)
	},
	"join": func(sep string, list []string) (string, error) {
		return boundedCall(func() string { return strings.Join(list, sep) }, strings.Repeat(sep, min(len(list), 1+MaxSize/(1+len(sep)))))
	},
}

func toJSON(v any) (string, error) {
	return boundedCall(func() string {
		out, err := json.Marshal(v)
		if err != nil {
			return "" // the values of a template always have a form in JSON
		}
		return string(out)
	}, v)
}

// boundedCall calls make only if the texts in args together are within MaxSize.
func boundedCall(make func() string, args ...any) (string, error) {
	total := 0
	for _, a := range args {
		if s, ok := a.(string); ok {
			total += len(s)
		}
	}
	if total > MaxSize {
		return "", errTooBig
	}
	return make(), nil
}

// allowedFunctions holds the functions that a template may call: those of this package, and those
// of text/template that take bounded time and memory and call no others.
var allowedFunctions = map[string]bool{
	"b64enc": true, "quote": true, "toJson": true, "join": true,
	"and": true, "or": true, "not": true, "eq": true, "ne": true, "lt": true, "le": true, "gt": true, "ge": true,
	"len": true, "index": true, "slice": true, "print": true, "urlquery": true,
}

// Functions returns the names of the functions that a template may call, in alphabetical order.
func Functions() []string { return slices.Sorted(maps.Keys(allowedFunctions)) }

// tokenFunctions holds the functions that the token may pass through: their output goes into the
// Secret, and nothing depends on it. Any other function could fail or succeed depending on the
// token, and the error would reveal that.
var tokenFunctions = map[string]bool{"b64enc": true, "quote": true, "toJson": true, "urlquery": true, "print": true}

var errDependsOnToken = errors.New("decides by the token, or takes a part of it; .Token may stand by itself, and go through b64enc, print, quote, toJson and urlquery")

// checkTemplate walks a parsed template and rejects every construct that it does not know to be
// harmless.
func checkTemplate(t *template.Template) error {
	if len(t.Templates()) > 1 {
		return errors.New("defines another template; write it out in place")
	}
	if t.Tree == nil || t.Root == nil {
		return nil // empty
	}
	return walk(t.Root, position{root: true})
}

// position is the position of a node in a template.
type position struct {
	root    bool // the dot holds all values
	looping bool
}

func walk(n parse.Node, in position) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		return walkAll(n.Nodes, in)
	case *parse.ActionNode:
		return walk(n.Pipe, in)
	case *parse.PipeNode:
		if n == nil {
			return nil
		}
		return walkPipe(n, in)
	case *parse.CommandNode:
		return walkAll(n.Args, in)
	case *parse.ChainNode:
		return walk(n.Node, in)
	case *parse.IfNode:
		return walkBranch(n.BranchNode, in, in)
	case *parse.WithNode:
		return walkBranch(n.BranchNode, in, position{looping: in.looping})
	case *parse.RangeNode:
		if over := n.Pipe.Cmds; in.looping || len(over) != 1 || !slices.Contains([]string{".Roles", ".Permissions"}, over[0].String()) {
			return errors.New("ranges over something else than .Roles or .Permissions, or within another range")
		}
		return walkBranch(n.BranchNode, in, position{looping: true})
	case *parse.IdentifierNode:
		if !allowedFunctions[n.Ident] {
			return fmt.Errorf("calls %s, which is none of: %s", n.Ident, strings.Join(Functions(), ", "))
		}
		return nil
	case *parse.TextNode, *parse.CommentNode, *parse.FieldNode, *parse.VariableNode, *parse.DotNode, *parse.NilNode,
		*parse.BoolNode, *parse.NumberNode, *parse.StringNode, *parse.BreakNode, *parse.ContinueNode:
		return nil
	default:
		return errors.New("uses a construct that is not allowed here; values, functions, if, with and range are")
	}
}

// walkBranch walks a condition and the nodes that depend on it.
func walkBranch(n parse.BranchNode, in, inside position) error {
	if holdsToken(n.Pipe, in) {
		return errDependsOnToken
	}
	return errors.Join(walk(n.Pipe, in), walk(n.List, inside), walk(n.ElseList, in))
}

// walkPipe walks commands where each gets the result of the one before.
func walkPipe(n *parse.PipeNode, in position) error {
	secret := false
	for _, c := range n.Cmds {
		for _, arg := range c.Args {
			secret = secret || holdsToken(arg, in)
		}
		if f, calls := c.Args[0].(*parse.IdentifierNode); secret && calls && allowedFunctions[f.Ident] && !tokenFunctions[f.Ident] {
			return errDependsOnToken
		}
	}
	if secret && len(n.Decl) > 0 {
		return errDependsOnToken
	}
	return walkAll(n.Cmds, in)
}

// holdsToken reports whether the value of a node is the token or holds it.
func holdsToken(n parse.Node, in position) bool {
	among := func(nodes []parse.Node) bool {
		return slices.ContainsFunc(nodes, func(n parse.Node) bool { return holdsToken(n, in) })
	}
	switch n := n.(type) {
	case *parse.PipeNode:
		return n != nil && slices.ContainsFunc(n.Cmds, func(c *parse.CommandNode) bool { return among(c.Args) })
	case *parse.ChainNode:
		return holdsToken(n.Node, in)
	case *parse.DotNode:
		return in.root
	case *parse.FieldNode:
		return in.root && n.Ident[0] == "Token"
	case *parse.VariableNode:
		return n.Ident[0] == "$" && (len(n.Ident) == 1 || n.Ident[1] == "Token")
	default:
		return false
	}
}

func walkAll[N parse.Node](nodes []N, in position) error {
	for _, n := range nodes {
		if err := walk(n, in); err != nil {
			return err
		}
	}
	return nil
}
