//go:build !wasip1

package guest

import (
	"context"
	"log/slog"
)

// Log writes text to the log of the edge host, cut at 4 KiB. Levels are those
// of log/slog. In a native program it writes to slog's default logger.
func Log(level int, text string) { slog.Log(context.Background(), slog.Level(level), text) }
