package tokenapi_test

import (
	"net/http"
	"testing"

	auditlog "github.com/apptoken/operator/internal/audit"
	"github.com/apptoken/operator/internal/testing/servertest"
)

func TestAudit_ManagementRefusalNamesTheCaller(t *testing.T) {
	h := servertest.NewLoginServer(t)
	tok := h.AppToken("reader")
	h.Call(http.MethodGet, servertest.PathAcmeTokens, servertest.Bearer(tok))
	lines := h.AuditLog.Events(t, auditlog.CredentialRefused)
	if len(lines) != 1 || lines[0]["endpoint"] != "manage" || lines[0]["verdict"] != "PermissionMissing" || lines[0]["client"] != "acme" || lines[0]["token"] == nil {
		t.Errorf("%v", lines)
	}
}
