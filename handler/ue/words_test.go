package ue_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
)

// A journal is what a logger has written.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(b)
}

func (j *journal) lines() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.SplitAfter(strings.TrimSuffix(j.buf.String(), "\n"), "\n")
}

// Without a Logger warnings go to slog.Default, and a wrong address or authority is not
// silent for ever. Each line is short and says what is wrong.
func TestWordsOfAFailedStart(t *testing.T) {
	tests := []struct {
		name   string
		world  func(w *world)
		host   func(*host.Config)
		want   error
		reason string
	}{
		{"no network", func(w *world) { w.air.Cut(wifi, true) }, nil, link.ErrNoNetwork, link.ErrNoNetwork.Error()},
		{"nobody there", func(w *world) { w.air.Silence(true) }, nil, link.ErrNoAnswer, link.ErrNoAnswer.Error()},
		{"another authority", func(*world) {}, func(c *host.Config) { c.TLS = mustTLS(t, stranger(t), identity.Host) }, link.ErrIdentity, "the peer's certificate is of another authority"},
	}
	before := slog.Default()
	defer slog.SetDefault(before)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var j journal
				slog.SetDefault(slog.New(slog.NewTextHandler(&j, nil)))
				f := doubler(tt.name, true, double)
				w.engine.set(f.Serve, nil)
				w.startHost(tt.host)
				tt.world(w)
				h := w.startSilent(ue.Config{Edge: hostAddr.String(), Policy: policy.Always(policy.OnEdge)})
				ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
				defer cancel()
				err := h.Prepare(ctx, &f.Desc)
				if !errors.Is(err, tt.want) || strings.Count(err.Error(), hostAddr.String()) != 1 || len(err.Error()) > 200 {
					t.Errorf("prepare gave %q, want %v, and the address once", err, tt.want)
				}
				if got, err := f.Call(t.Context(), 2); got != 4 || err != nil || h.Stats().Reasons[tt.reason] != 1 {
					t.Errorf("call: %d, %v, reasons %v; want %q", got, err, h.Stats().Reasons, tt.reason)
				}
				lines := j.lines()
				if len(lines) != 2 || !strings.Contains(lines[0], "edge host is not there") || !strings.Contains(lines[1], "falling back") {
					t.Errorf("the log has\n%s\nwant that the host is not there, and the fallback", strings.Join(lines, ""))
				}
				for _, line := range lines {
					if len(line) > 200 || !strings.Contains(line, "level=WARN") || strings.Count(line, "10.0.0.2") > 1 {
						t.Errorf("a line of %d bytes: %s", len(line), line)
					}
				}
			})
		})
	}
}

// stranger returns another authority, of the bubble's time.
func stranger(t *testing.T) *identity.Authority {
	t.Helper()
	a, err := identity.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// startSilent starts a handler without a Logger.
func (w *world) startSilent(cfg ue.Config) *ue.Handler {
	cfg.TLS = mustTLS(w.t, w.ca, identity.UE)
	cfg.Listen = w.listenAt(wifi)
	cfg.Dial = w.dialTCP
	h, err := ue.Start(context.Background(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { h.Close() })
	return h
}

// A UE whose certificate has expired says so at once, and runs its calls natively.
func TestExpiredCertificateIsSaid(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var j journal
		conf := mustTLS(t, w.ca, identity.UE)
		time.Sleep(366 * 24 * time.Hour)
		h, err := ue.Start(context.Background(), ue.Config{TLS: conf, Logger: slog.New(slog.NewTextHandler(&j, nil))})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if lines := j.lines(); len(lines) != 1 || !strings.Contains(lines[0], "it has expired on ") {
			t.Errorf("the log has %q", lines)
		}
	})
}
