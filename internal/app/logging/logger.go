package logging

import (
	"io"

	"github.com/go-logr/logr"
	uberzap "go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// levels holds the levels of the log, keyed by the values of --log-level. Debug ends below 6: from
// 6 on, client-go logs requests, and from 8 on their bodies. Those contain Secrets, in forms that
// no redactor recognizes.
var levels = map[string]zapcore.Level{"error": zapcore.ErrorLevel, "info": zapcore.InfoLevel, "debug": zapcore.Level(-5)}

// IsLevel reports whether the log has a level of that name.
func IsLevel(name string) bool {
	_, ok := levels[name]
	return ok
}

// New returns a log at a level: JSON, without tokens. Expected conflicts are debug lines.
func New(level string, to io.Writer) logr.Logger {
	expected := uberzap.WrapCore(func(c zapcore.Core) zapcore.Core { return conflictCore{c} })
	return zap.New(zap.WriteTo(Redactor{to}), zap.Level(levels[level]), zap.JSONEncoder(encodeRFC3339), zap.RawZapOpts(expected))
}

// encodeRFC3339 sets the format of times to RFC 3339.
func encodeRFC3339(c *zapcore.EncoderConfig) { c.EncodeTime = zapcore.RFC3339NanoTimeEncoder }
