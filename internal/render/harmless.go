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

// functions are ours, and those of text/template that would let a few lines double a text over and over.
var functions = template.FuncMap{
	"b64enc": func(s string) (string, error) {
		return bound(func() string { return base64.StdEncoding.EncodeToString([]byte(s)) }, s)
	},
	"toJson":   toJSON,
	"quote":    func(s string) (string, error) { return toJSON(s) },
	"urlquery": func(s string) (string, error) { return bound(func() string { return url.QueryEscape(s) }, s) },
	"print":    func(args ...any) (string, error) { return bound(func() string { return fmt.Sprint(args...) }, args...) },
	"join": func(sep string, list []string) (string, error) {
		return bound(func() string { return strings.Join(list, sep) }, strings.Repeat(sep, min(len(list), 1+MaxSize/(1+len(sep)))))
	},
}

func toJSON(v any) (string, error) {
	return bound(func() string {
		out, err := json.Marshal(v)
		if err != nil {
			return "" // a value of ours always has a form in JSON
		}
		return string(out)
	}, v)
}

// bound calls make only where the texts that it is given are within MaxSize together.
func bound(make func() string, args ...any) (string, error) {
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

// allowed are the functions that a template may call: ours, and those of text/template that take bounded time and memory
// and call no others.
var allowed = map[string]bool{
	"b64enc": true, "quote": true, "toJson": true, "join": true,
	"and": true, "or": true, "not": true, "eq": true, "ne": true, "lt": true, "le": true, "gt": true, "ge": true,
	"len": true, "index": true, "slice": true, "print": true, "urlquery": true,
}

// Functions are the names that a template may call, in alphabetical order.
func Functions() []string { return slices.Sorted(maps.Keys(allowed)) }

// harmless walks what was parsed and refuses what it does not know to be harmless.
func harmless(t *template.Template) error {
	if len(t.Templates()) > 1 {
		return errors.New("defines another template; write it out in place")
	}
	if t.Tree == nil || t.Root == nil {
		return nil // empty
	}
	return walk(t.Root, false)
}

func walk(n parse.Node, looping bool) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		return each(n.Nodes, looping)
	case *parse.ActionNode:
		return walk(n.Pipe, looping)
	case *parse.PipeNode:
		if n == nil {
			return nil
		}
		return each(n.Cmds, looping)
	case *parse.CommandNode:
		return each(n.Args, looping)
	case *parse.ChainNode:
		return walk(n.Node, looping)
	case *parse.IfNode:
		return errors.Join(walk(n.Pipe, looping), walk(n.List, looping), walk(n.ElseList, looping))
	case *parse.WithNode:
		return errors.Join(walk(n.Pipe, looping), walk(n.List, looping), walk(n.ElseList, looping))
	case *parse.RangeNode:
		if over := n.Pipe.Cmds; looping || len(over) != 1 || !slices.Contains([]string{".Roles", ".Permissions"}, over[0].String()) {
			return errors.New("ranges over something else than .Roles or .Permissions, or within another range")
		}
		return errors.Join(walk(n.List, true), walk(n.ElseList, true))
	case *parse.IdentifierNode:
		if !allowed[n.Ident] {
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

func each[N parse.Node](nodes []N, looping bool) error {
	for _, n := range nodes {
		if err := walk(n, looping); err != nil {
			return err
		}
	}
	return nil
}
