package app

import (
	"go.uber.org/zap/zapcore"

	"github.com/apptoken/operator/controllers"
)

// expectedCore logs conflicts as debug lines without a stack. A conflict of two writes is expected
// and resolves itself: the write is retried on the newer object.
type expectedCore struct{ zapcore.Core }

func (c expectedCore) With(fields []zapcore.Field) zapcore.Core {
	return expectedCore{c.Core.With(fields)}
}

func (c expectedCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c expectedCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if isExpected(fields) {
		if !c.Enabled(zapcore.DebugLevel) {
			return nil
		}
		entry.Level, entry.Stack = zapcore.DebugLevel, ""
	}
	return c.Core.Write(entry, fields)
}

func isExpected(fields []zapcore.Field) bool {
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			return controllers.IsConflict(err)
		}
	}
	return false
}
