package guest

import "github.com/bungee-xr/bungee/internal/abi"

//go:wasmimport bungee log
func hostLog(level int32, text string)

// Log writes text to the log of the edge host, cut at 4 KiB. Levels are those
// of log/slog. In a native program it writes to slog's default logger.
func Log(level int, text string) { hostLog(int32(level), text[:min(len(text), abi.MaxLog)]) }
