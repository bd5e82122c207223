package host

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLogIsLimited has a UE be refused 9,000 times a second: the log tells of it in a few lines a
// second, and how many there were; others are told of as ever, and so is the host.
func TestLogIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := limitLog(slog.New(slog.NewTextHandler(&out, nil)))
		bad := log.With("ue", "bad/1")
		const refused, seconds = 9000, 10
		for range seconds {
			for i := range refused {
				if i%2 == 0 {
					bad.Warn("request refused")
				} else {
					log.Warn("call failed", "ue", "bad/1")
				}
			}
			time.Sleep(time.Second)
		}
		lines := strings.Count(out.String(), "bad/1")
		if most := linesAtOnce + seconds*linesPerSecond; lines > most || lines < linesAtOnce {
			t.Errorf("%d lines in %d s; want at most %d", lines, seconds, most)
		}
		bad.Warn("the last one")
		left := 0
		for line := range strings.Lines(out.String()) {
			if _, n, ok := strings.Cut(line, "left_out_before="); ok {
				var k int
				fmt.Sscan(n, &k)
				left += k
			}
		}
		if want := refused*seconds - lines; left != want {
			t.Errorf("the log counts %d lines that are left out; want %d", left, want)
		}
		out.Reset()
		log.Warn("request refused", "ue", "good/1")
		log.Warn("module", "tenant", "good")
		for range 2 * allLinesAtOnce {
			log.Warn("draining")
		}
		if got := out.String(); !strings.Contains(got, "good/1") || !strings.Contains(got, "tenant=good") || strings.Count(got, "draining") != 2*allLinesAtOnce {
			t.Errorf("others: %.300s; want each line", got)
		}
	})
}

// TestLogOfManyIsLimited has lines about very many UEs be bounded together, in number and in what is
// kept of them.
func TestLogOfManyIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := limitLog(slog.New(slog.NewTextHandler(&out, nil)))
		for i := range 3 * maxLoggers {
			log.Warn("request refused", "ue", fmt.Sprint("ue", i))
		}
		if n := strings.Count(out.String(), "\n"); n != allLinesAtOnce {
			t.Errorf("%d lines at once; want %d", n, allLinesAtOnce)
		}
		kept := log.Handler().(*logLimiter).line.of
		if len(kept) > maxLoggers+1 {
			t.Errorf("%d names are kept; want at most %d", len(kept), maxLoggers+1)
		}
		time.Sleep(time.Hour)
		log.WithGroup("g").Warn("request refused", "ue", "later")
		if !strings.Contains(out.String(), "later") {
			t.Error("an hour later a line is left out")
		}
	})
}
