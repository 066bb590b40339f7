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

	"github.com/apptoken/operator/internal/server/authz"
	"github.com/apptoken/operator/internal/server/endpoint"
)

const (
	// maxStreams is the maximum number of concurrent streams of a connection, over gRPC and
	// HTTP/2.
	maxStreams = 1 << 8
	// maxCallHeader is the maximum size of the headers of a call, in bytes. The headers of the
	// request that Envoy checks are in the message.
	maxCallHeader = 16 << 10
	// maxConnectionAge is the maximum age of a connection, so that a gateway finds new replicas.
	maxConnectionAge = 5 * time.Minute
)

// GRPC returns the server of the ext_authz endpoint, which Envoy calls.
func (e *Endpoints) GRPC() *grpc.Server { return e.newGRPCServer(readTimeout) }

// newGRPCServer is GRPC with the time that a call may take.
func (e *Endpoints) newGRPCServer(slowest time.Duration) *grpc.Server {
	s := grpc.NewServer(
		grpc.InTapHandle(func(ctx context.Context, _ *tap.Info) (context.Context, error) {
			// The address of the gateway's caller is in the message, which is not read yet.
			source := endpoint.PeerOf(authz.GatewayAddress(ctx))
			if endpoint.ContainsAddress(e.Trusted, source) {
				source = netip.Addr{}
			}
			if !e.InFlight.enter(true, source) {
				return nil, status.Error(codes.Unavailable, "too many requests are being answered; ask again")
			}
			ctx, cancel := context.WithTimeout(ctx, slowest)
			// This runs at the timeout, or earlier at the end of the call, which cancels ctx.
			context.AfterFunc(ctx, func() {
				cancel()
				e.InFlight.leave(source)
			})
			return ctx, nil
		}),
		// The message is constant, so that it does not echo the service name.
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
			return status.Error(codes.Unimplemented, "no such method")
		}),
		grpc.MaxRecvMsgSize(endpoint.MaxCheckRequest),
		grpc.MaxHeaderListSize(maxCallHeader),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(headerTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: idleTimeout, MaxConnectionAge: maxConnectionAge, MaxConnectionAgeGrace: MaxResponseTime,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.ForceServerCodecV2(recoveringCodec{encoding.GetCodecV2(proto.Name)}),
		grpc.UnaryInterceptor(e.recoverUnary),
	)
	authv3.RegisterAuthorizationServer(s, authz.ExtAuthz{Base: e.base()})
	return s
}

// recoverUnary recovers a panic, so that it fails one request and not the process.
func (e *Endpoints) recoverUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (res any, err error) {
	defer func() {
		if p := recover(); p != nil {
			e.Log.Error(fmt.Errorf("%v", p), "a request failed", "method", info.FullMethod, "stack", string(debug.Stack()))
			res, err = nil, status.Error(codes.Internal, "this request failed here")
		}
	}()
	return next(ctx, req)
}

// recoveringCodec recovers a panic while a message is decoded, which happens before contain is
// called.
type recoveringCodec struct{ encoding.CodecV2 }

func (c recoveringCodec) Unmarshal(data mem.BufferSlice, to any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = status.Error(codes.InvalidArgument, "the message cannot be read")
		}
	}()
	return c.CodecV2.Unmarshal(data, to)
}
