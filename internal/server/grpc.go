package server

import (
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

const (
	// mostStreams are the questions that one connection may have open.
	mostStreams = 1 << 8
	// maxCallHeader is how many bytes the headers of a call may have. Those of the request that Envoy asks about are in the message.
	maxCallHeader = 16 << 10
	// longestConnection is how long one lasts, so that a gateway finds replicas that are new.
	longestConnection = 5 * time.Minute
)

// GRPC serves the door that Envoy asks.
func (d *Doors) GRPC() *grpc.Server { return d.grpc(readTimeout) }

// grpc serves the door for those who say what they have to within a time.
func (d *Doors) grpc(slowest time.Duration) *grpc.Server {
	s := grpc.NewServer(
		grpc.InTapHandle(func(ctx context.Context, _ *tap.Info) (context.Context, error) {
			source := peerOf(gatewayOf(ctx)) // the address of the gateway's own caller is in the message, which is not read yet
			if trusts(d.Trusted, source) {
				source = netip.Addr{}
			}
			if !d.InFlight.enter(true, source) {
				return nil, status.Error(codes.Unavailable, "too many requests are being answered; ask again")
			}
			ctx, cancel := context.WithTimeout(ctx, slowest)
			context.AfterFunc(ctx, func() { // at the end of the question at the latest, which ends its context
				cancel()
				d.InFlight.leave(source)
			})
			return ctx, nil
		}),
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { // in words that repeat nothing
			return status.Error(codes.Unimplemented, "there is nothing by this name")
		}),
		grpc.MaxRecvMsgSize(maxCheck),
		grpc.MaxHeaderListSize(maxCallHeader),
		grpc.MaxConcurrentStreams(mostStreams),
		grpc.ConnectionTimeout(headerTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: idleTimeout, MaxConnectionAge: longestConnection, MaxConnectionAgeGrace: LongestAnswer,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.ForceServerCodecV2(careful{encoding.GetCodecV2(proto.Name)}),
		grpc.UnaryInterceptor(d.contain),
	)
	authv3.RegisterAuthorizationServer(s, extAuthz{Doors: d})
	return s
}

// contain makes a panic a failure of one request.
func (d *Doors) contain(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (res any, err error) {
	defer func() {
		if p := recover(); p != nil {
			d.Log.Error(fmt.Errorf("%v", p), "a request failed", "method", info.FullMethod, "stack", string(debug.Stack()))
			res, err = nil, status.Error(codes.Internal, "this request failed here")
		}
	}()
	return next(ctx, req)
}

// careful makes a panic over a message a failure of that one: messages are read before contain is asked.
type careful struct{ encoding.CodecV2 }

func (c careful) Unmarshal(data mem.BufferSlice, to any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = status.Error(codes.InvalidArgument, "the message cannot be read")
		}
	}()
	return c.CodecV2.Unmarshal(data, to)
}
