package logging

import (
	"go.uber.org/zap/zapcore"

	"github.com/apptoken/operator/internal/apierr"
)

// conflictCore logs conflicts as debug lines without a stack. A conflict of two writes is expected
// and resolves itself: the write is retried on the newer object.
type conflictCore struct{ zapcore.Core }

func (c conflictCore) With(fields []zapcore.Field) zapcore.Core {
	return conflictCore{c.Core.With(fields)}
}

func (c conflictCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c conflictCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if hasConflict(fields) {
		if !c.Enabled(zapcore.DebugLevel) {
			return nil
		}
		entry.Level, entry.Stack = zapcore.DebugLevel, ""
	}
	return c.Core.Write(entry, fields)
}

func hasConflict(fields []zapcore.Field) bool {
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			return apierr.IsConflict(err)
		}
	}
	return false
}
