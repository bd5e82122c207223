package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/link"
)

// TestDrainIsLogged has a UE leave a host that drains, or stay: the log tells when the drain begins, how
// many are left, and how it ends, which it does in time.
func TestDrainIsLogged(t *testing.T) {
	for _, tt := range []struct {
		stays bool
		want  []string
	}{
		{true, []string{"drain begins 1", "drain goes on 1", "drain goes on 1", "drain goes on 1", "drain is cut off 1"}},
		{false, []string{"drain begins 1", "drain goes on 1", "drain ends"}},
	} {
		var log records
		serve(t, host.Config{Logger: slog.New(&log)}, []string{"ue"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
			time.Sleep(100 * time.Millisecond) // the host has it
			before := len(log.all())
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- h.Shutdown(ctx) }()
			time.Sleep(2 * time.Second)
			if !tt.stays {
				conns[0].Close("")
			}
			if err := <-done; errors.Is(err, context.DeadlineExceeded) != tt.stays {
				t.Errorf("Shutdown returns %v; one UE stays: %t", err, tt.stays)
			}
			if got := drainLines(log.all()[before:]); !slices.Equal(got, tt.want) {
				t.Errorf("the log tells %q; want %q", got, tt.want)
			}
		})
	}
}

// drainLines returns what records tell of a drain, with the number of connections.
func drainLines(all []slog.Record) (lines []string) {
	for _, r := range all {
		if !strings.HasPrefix(r.Message, "drain ") {
			continue
		}
		line := r.Message
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "connections" {
				line += fmt.Sprint(" ", a.Value)
			}
			return true
		})
		lines = append(lines, line)
	}
	return lines
}
