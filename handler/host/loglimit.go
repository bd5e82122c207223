package host

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How many lines a second a host logs about one UE or tenant, and about all together, with as many
// at once as the burst says: enough to see what happens, too few to fill a disk.
const (
	linesPerSecond    = 2
	linesAtOnce       = 20
	allLinesPerSecond = 20
	allLinesAtOnce    = 200
	// maxLoggers bounds the names whose lines are counted apart.
	maxLoggers = 4096
)

// A logLimiter is a [slog.Handler] that leaves out lines about a UE or tenant of which there are too
// many, and counts them in the next one that it lets pass. Lines about nobody always pass.
type logLimiter struct {
	slog.Handler
	who  string // the UE or tenant of the attributes so far
	line *logLines
}

// limitLog returns a logger that leaves out lines.
func limitLog(log *slog.Logger) *slog.Logger {
	return slog.New(&logLimiter{log.Handler(), "", &logLines{
		of: map[string]*logCount{}, all: rate.NewLimiter(allLinesPerSecond, allLinesAtOnce),
	}})
}

// WithAttrs implements [slog.Handler].
func (l *logLimiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	who := l.who
	for _, a := range attrs {
		who = whoOf(a, who)
	}
	return &logLimiter{l.Handler.WithAttrs(attrs), who, l.line}
}

// WithGroup implements [slog.Handler].
func (l *logLimiter) WithGroup(name string) slog.Handler {
	return &logLimiter{l.Handler.WithGroup(name), l.who, l.line}
}

// Handle implements [slog.Handler].
func (l *logLimiter) Handle(ctx context.Context, r slog.Record) error {
	who := l.who
	r.Attrs(func(a slog.Attr) bool {
		who = whoOf(a, who)
		return true
	})
	if who == "" {
		return l.Handler.Handle(ctx, r)
	}
	hidden, ok := l.line.admit(who, time.Now())
	if !ok {
		return nil
	}
	if hidden > 0 {
		r.AddAttrs(slog.Int("left_out_before", hidden))
	}
	return l.Handler.Handle(ctx, r)
}

// whoOf returns whom a tells of, and who where it tells of nobody.
func whoOf(a slog.Attr, who string) string {
	if a.Key == "ue" || a.Key == "tenant" {
		return a.Value.String()
	}
	return who
}

// logLines count the lines of each name.
type logLines struct {
	all *rate.Limiter

	mu sync.Mutex
	of map[string]*logCount
}

type logCount struct {
	rate   *rate.Limiter
	hidden int // not logged, and not counted in the log yet
}

// admit says whether a line about who may be logged, and how many were left out before it.
func (l *logLines) admit(who string, now time.Time) (hidden int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.countLocked(who, now)
	if !c.rate.AllowN(now, 1) || !l.all.AllowN(now, 1) {
		c.hidden++
		return 0, false
	}
	hidden, c.hidden = c.hidden, 0
	return hidden, true
}

// countLocked returns the count of who. When there are too many, those that begin anew anyway are
// forgotten, and if there are none of these, the rest share one.
func (l *logLines) countLocked(who string, now time.Time) *logCount {
	if c := l.of[who]; c != nil {
		return c
	}
	if len(l.of) >= maxLoggers {
		for name, c := range l.of {
			if c.hidden == 0 && c.rate.TokensAt(now) >= linesAtOnce {
				delete(l.of, name)
			}
		}
	}
	if len(l.of) >= maxLoggers {
		who = ""
		if c := l.of[who]; c != nil {
			return c
		}
	}
	c := &logCount{rate: rate.NewLimiter(linesPerSecond, linesAtOnce)}
	l.of[who] = c
	return c
}
