package preflight_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/apptoken/operator/internal/app/preflight"
)

func TestPreflight_WaitsOnlyWhileAPIServerIsUnavailable(t *testing.T) {
	request := func(err error) error {
		return fmt.Errorf("look: %w", &url.Error{Op: "Get", URL: "https://10.0.0.1", Err: err})
	}
	for sentence, c := range map[string]struct {
		err  error
		away bool
	}{
		"refused":              {request(syscall.ECONNREFUSED), true},
		"too slow":             {request(context.DeadlineExceeded), true},
		"broken off":           {fmt.Errorf("read the answer: %w", io.ErrUnexpectedEOF), true},
		"overloaded":           {apierrors.NewTooManyRequests("later", 1), true},
		"out of order":         {apierrors.NewInternalError(errors.New("etcd")), true},
		"starting":             {apierrors.NewServiceUnavailable("not ready"), true},
		"wrong credentials":    {apierrors.NewUnauthorized("who?"), false},
		"missing right":        {apierrors.NewForbidden(schema.GroupResource{}, "x", errors.New("no")), false},
		"missing object":       {apierrors.NewNotFound(schema.GroupResource{}, "x"), false},
		"missing kind":         {&meta.NoKindMatchError{}, false},
		"wrong CA":             {request(&tls.CertificateVerificationError{Err: errors.New("unknown authority")}), false},
		"no address":           {&url.Error{Op: "parse", URL: "%", Err: errors.New("invalid")}, false},
		"broken configuration": {errors.New("no such key"), false},
		"missing file":         {&fs.PathError{Op: "open", Path: "tls.crt", Err: syscall.ENOENT}, false},
		"taken port":           {&net.OpError{Op: "listen", Err: syscall.EADDRINUSE}, false},
	} {
		if got := preflight.IsUnavailable(c.err); got != c.away {
			t.Errorf("%s: away is %t, want %t", sentence, got, c.away)
		}
	}
}
