package logins

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
)

// sessionMessage asks for a session token in SOAP 1.1.
const sessionMessage = `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:tok="http://token.security.common.server.platform.spectrum.pb.com/">` +
	`<soapenv:Header/><soapenv:Body><tok:getAccessExpiringToken><tokenLifeInMinutes>60</tokenLifeInMinutes></tok:getAccessExpiringToken></soapenv:Body></soapenv:Envelope>`

// measureSOAP compares logins for a session token by SOAP with the same by REST, in turns. The hash
// takes almost no time, so that what differs shows: reading and writing of XML.
func (p *loginUsers) measureSOAP(ctx context.Context, b *scenario.Run, r report.Table) error {
	var bySOAP, byREST [][]byte
	for i := range scenario.UsersPerHash {
		basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(scenario.QuickHash.User(i)+":"+scenario.UserPassword))
		bySOAP = append(bySOAP, load.RawRequest("POST", "/security/TokenManagerService", "", "text/xml; charset=utf-8", sessionMessage, basic, `SOAPAction: ""`))
		byREST = append(byREST, load.RawRequest("GET", "/security/rest/token/access/session/60", "", "", "", basic))
	}
	soap, rest := load.HTTPTarget("session login by SOAP", p.endpoint, bySOAP), load.HTTPTarget("session login by REST", p.endpoint, byREST)
	for _, target := range []load.Target{soap, rest} { // warm-up
		if _, err := target.Run(ctx, b.LoginTurn/4); err != nil {
			return fmt.Errorf("%s: %w", target.Name, err)
		}
	}
	v, err := b.TurnsLasting(b.LoginTurn).Compare(ctx, soap, rest)
	if err != nil {
		return err
	}
	r.AddRatio("session login by SOAP, beside one by REST", v[0].Rate, "/s", v[1].Rate, report.AtLeast(1/1.1))
	return nil
}
