package main

import (
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/spf13/pflag"
)

// logLevels are the values of --log-level.
var logLevels = []string{"debug", "info", "warn", "error"}

// level returns what is logged. log-level goes before verbose, unless that is from the command line and
// it is not.
func (f *hostFlags) level() slog.Level { return levelOf(f.set, f.from, f.verbose, f.logLevel) }

// levelOf is level of the settings of a command.
func levelOf(set *pflag.FlagSet, from map[string]string, verbose bool, level string) slog.Level {
	said := set.Changed("log-level") && (from["log-level"] == "" || from["verbose"] != "")
	if verbose && !said {
		return slog.LevelInfo
	}
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		panic(err) // logLevels has what slog does not know
	}
	return l
}

// logger returns the log, of a level that may change.
func (f *hostFlags) logger(w io.Writer, level slog.Leveler) *slog.Logger {
	return loggerOf(f.logFormat, w, level)
}

// loggerOf returns a log in a form.
func loggerOf(format string, w io.Writer, level slog.Leveler) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: asText}))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// asText writes in JSON what is written in the text: a duration as "1.5s", an address as "10.0.0.1:4433", and
// not their fields.
func asText(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case time.Duration:
		a.Value = slog.StringValue(v.String())
	case net.Addr:
		a.Value = slog.StringValue(v.String())
	}
	return a
}
