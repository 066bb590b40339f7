package main

import (
	"context"
	"strings"

	"github.com/apptoken/operator/test/loadtest/scenario"
	"github.com/apptoken/operator/test/loadtest/scenario/issuance"
	"github.com/apptoken/operator/test/loadtest/scenario/logins"
	"github.com/apptoken/operator/test/loadtest/scenario/replicas"
	"github.com/apptoken/operator/test/loadtest/scenario/start"
	"github.com/apptoken/operator/test/loadtest/scenario/verification"
)

// section is one part of the load test.
type section struct {
	name string
	run  func(context.Context, *scenario.Run) error
}

// sections are in the order of a run. idle and rotate share their tokens; every other section that
// needs a control plane starts a new one.
var sections = []section{
	{"token", verification.MeasureToken},
	{"index", verification.MeasureIndex},
	{"endpoints", verification.MeasureEndpoints},
	{"write", issuance.MeasureWrite},
	{"quota", issuance.MeasureQuota},
	{"idle", issuance.MeasureIdle},
	{"rotate", issuance.MeasureRotate},
	{"neighbours", issuance.MeasureNeighbours},
	{"logins", logins.Measure},
	{"sessions", logins.MeasureSessionTokens},
	{"replicas", replicas.MeasureReplicas},
	{"start", start.MeasureStart},
}

func sectionNames() string {
	var list []string
	for _, s := range sections {
		list = append(list, s.name)
	}
	return strings.Join(list, ",")
}
