package main

import (
	"context"
	"strings"
)

// section is one part of the load test.
type section struct {
	name string
	run  func(context.Context, *bench) error
}

// sections are in the order of a run. idle and rotate share their tokens; every other section that
// needs a control plane starts a new one.
var sections = []section{
	{"token", measureToken},
	{"index", measureIndex},
	{"endpoints", measureEndpoints},
	{"write", measureWrite},
	{"quota", measureQuota},
	{"idle", measureIdle},
	{"rotate", measureRotate},
	{"neighbours", measureNeighbours},
	{"logins", measureLogins},
	{"replicas", measureReplicas},
	{"start", measureStart},
}

func sectionNames() string {
	var list []string
	for _, s := range sections {
		list = append(list, s.name)
	}
	return strings.Join(list, ",")
}
