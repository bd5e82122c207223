package host

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestGuestsLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := guestLog(slog.New(slog.NewTextHandler(&out, nil)))
		for range maxLines + 5 {
			log("x")
		}
		if n := strings.Count(out.String(), "says=x"); n != maxLines {
			t.Errorf("%d lines of %d were logged, want %d", n, maxLines+5, maxLines)
		}
		time.Sleep(time.Second)
		out.Reset()
		log("later")
		if !strings.Contains(out.String(), "dropped=5") || !strings.Contains(out.String(), "says=later") {
			t.Errorf("a second later it logged %q; want what was dropped, and the line", out.String())
		}
	})
}
