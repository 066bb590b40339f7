package verification

import (
	"context"
	"errors"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/apptoken/operator/test/loadtest/load"
	"github.com/apptoken/operator/test/loadtest/report"
	"github.com/apptoken/operator/test/loadtest/scenario"
)

// extAuthz compares ext_authz with a method that takes the same messages and answers at once.
func (d *endpointTest) extAuthz(ctx context.Context, b *scenario.Run, r report.Table) error {
	var requests []*authv3.CheckRequest
	for _, i := range d.presented {
		requests = append(requests, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Source: peerOf("192.0.2.1"),
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
				Method: "GET", Path: "/search?q=shoes", Host: "search.example.com", Protocol: "HTTP/2",
				Headers: map[string]string{
					":method": "GET", ":path": "/search?q=shoes", ":authority": "search.example.com", "accept": "application/json",
					"user-agent": "indexer/1.2", "x-request-id": "5b1d4a0a-0000-4000-8000-000000000000", "authorization": "Bearer " + d.texts[i],
				},
			}},
			ContextExtensions: map[string]string{"apptoken.permission": "search.query"},
		}})
	}
	address, err := d.serve(ctx, d.GRPC())
	if err != nil {
		return err
	}
	target := newGRPCTarget("ext_authz", address, requests)
	once, leave, err := target.client(ctx)
	if err != nil {
		return err
	}
	sample, err := once(ctx, requests[0])
	leave()
	if err != nil {
		return err
	}
	if sample.GetOkResponse() == nil {
		return errors.New("ext_authz refuses a valid token")
	}
	constant := grpc.NewServer()
	authv3.RegisterAuthorizationServer(constant, constantServer{answer: sample})
	beside, err := d.serve(ctx, constant)
	if err != nil {
		return err
	}
	v, err := b.TurnsLasting(b.Turn).Compare(ctx, target.Target, newGRPCTarget("a method that answers at once", beside, requests).Target)
	if err != nil {
		return err
	}
	r.AddRatio("ext_authz, beside a method that answers at once", v[0].Rate, "/s", v[1].Rate, report.AtLeast(0.8))
	return nil
}

func peerOf(address string) *authv3.AttributeContext_Peer {
	return &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
		SocketAddress: &corev3.SocketAddress{Address: address},
	}}}
}

// constantServer implements ext_authz and always returns the same response.
type constantServer struct {
	authv3.UnimplementedAuthorizationServer
	answer *authv3.CheckResponse
}

func (a constantServer) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return a.answer, nil
}

// grpcTarget is a target that is called over gRPC.
type grpcTarget struct {
	load.Target
	client func(context.Context) (once func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error), leave func(), err error)
}

func newGRPCTarget(name, address string, requests []*authv3.CheckRequest) grpcTarget {
	c := grpcTarget{client: func(context.Context) (func(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error), func(), error) {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, nil, err
		}
		client := authv3.NewAuthorizationClient(conn)
		ask := func(ctx context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
			return client.Check(ctx, r)
		}
		return ask, func() { _ = conn.Close() }, nil
	}}
	c.Target = load.Target{Name: name, Ask: func(ctx context.Context, worker int) (func() error, func(), error) {
		ask, leave, err := c.client(ctx)
		next := worker * len(requests) / load.Concurrency
		return func() error {
			answer, err := ask(ctx, requests[next])
			if err == nil && answer.GetOkResponse() == nil {
				err = fmt.Errorf("%s refuses", name)
			}
			if next++; next == len(requests) {
				next = 0
			}
			return err
		}, leave, err
	}}
	return c
}
