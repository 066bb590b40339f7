package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apptoken/operator/test/loadtest/report"
)

// The sizes are small, and no time is checked. The test checks that each section measures
// something.
func TestLoadTest_EverySectionMeasures(t *testing.T) {
	if err := flag.Set("test.benchtime", "100x"); err != nil {
		t.Fatal(err)
	}
	results := filepath.Join(t.TempDir(), "bench.json")
	var table, progress bytes.Buffer
	err := run(t.Context(), []string{
		"-json=" + results, "-tokens=50", "-clients=4", "-idle=1s", "-probe=250ms", "-schedule=false", "-records=200", "-index=1000",
		"-endpoints=100", "-turn=50ms", "-turns=1", "-rounds=3", "-replicas=2", "-takeovers=1", "-login-turn=100ms", "-holders=16", "-parallel=16", "-sessions=30",
	}, &table, &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	text, err := os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if r.Date.IsZero() || r.Commit == "" || r.CPU == "" || r.Cores == 0 || r.Go == "" || r.Kubernetes == "" {
		t.Errorf("the results do not say where they were had: %+v", r.Environment)
	}
	value := map[string]float64{}
	for _, row := range r.Results {
		value[row.Section+": "+row.Name] = row.Value
		if !strings.Contains(table.String(), "| "+row.Name+" |") {
			t.Errorf("the table lacks %q", row.Name)
		}
	}
	for name, want := range map[string]float64{
		"write: POST applicationtokens per token": 1,
		"write: POST secrets per token":           1,
		"write: POST tokenrecords per token":      1,
		"idle: writes meanwhile":                  0,
		"rotate by trigger: tokens rotated":       50,
		"start: records in the index by then":     200,
		"start: writes after it":                  0,

		"session tokens: session tokens of one user":                       30,
		"session tokens: session tokens that each login at the limit ends": 1,

		"logins: refreshes: POST tokenrecords for each":                    1,
		"logins: refreshes: DELETE tokenrecords for each":                  1,
		"logins: logouts: DELETE tokenrecords for each":                    1,
		"logins: application tokens made: POST applicationtokens for each": 1,
		"logins: application tokens made: POST tokenrecords for each":      1,
	} {
		if got, ok := value[name]; !ok || got != want {
			t.Errorf("%s: %v, %v, want %v", name, got, ok, want)
		}
	}
	// Beside the whole heap, so few tokens take no memory that can be measured.
	if _, ok := value["session tokens: memory of the operator for each"]; !ok {
		t.Error("the memory of a session token was not measured")
	}
	for _, name := range []string{
		"token: mint", "token: parse", "index of 1000: memory per record", "index of 1000: verify a valid token",
		"write: until all are Ready", "write: passes per token", "write: writes per second, beside plain clients",
		"quota: until all are Ready with maxCount used up, beside one far away",
		"rotate by trigger: until all have rotated", "rotate by trigger: from declared to Ready, p99",
		"endpoints, 100 records: /verify, beside an empty answer", "endpoints, 100 records: ext_authz, beside a method that answers at once",
		"endpoints, 100 records: /verify with --cors-allowed-origins, beside without", "endpoints, 100 records: /oauth2/introspect with --cors-allowed-origins, beside without",
		"endpoints, 100 records: unknown tokens a second in a flood",
		"2 replicas, 3 times each: revoked at one: until refused on all, p99",
		"index of 1000 session tokens: verify a valid token", "index of 1000 login tokens: verify a valid token",
		"index of 1000 open tokens: memory per record",
		"endpoints, 100 session tokens: /verify, beside an empty answer", "endpoints, 100 login tokens: /verify, beside an empty answer",
		"logins: login, argon2id m=64 MiB t=3 p=4, beside the bare hash", "logins: login, argon2id m=19 MiB t=2 p=1, beside the bare hash",
		"logins: session login by SOAP, beside one by REST",
		"logins: refreshes a second, beside plain clients with the same writes",
		"logins: logouts a second, beside plain clients with the same writes",
		"logins: application tokens made a second, beside plain clients with the same writes",
		"logins: 16 logins at once, argon2id m=19 MiB t=2 p=1: logged in, and not refused",
		"logins: memory of the operator under 16 logins at once, argon2id m=19 MiB t=2 p=1, beside that and 6 times what the checks take",
		"session tokens: stored by the API server for each",
		"session tokens: login of a user with 30, beside with 10", "session tokens: login at a limit of 30, beside at one of 10",
		"start: until /readyz says ok", "start: memory of the operator by then",
	} {
		if value[name] <= 0 {
			t.Errorf("%s: %v; there is %q", name, value[name], slices.Sorted(maps.Keys(value)))
		}
	}
}
