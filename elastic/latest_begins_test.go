package elastic

import (
	"context"
	"testing"

	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// echoes is an endpoint without a state.
func echoes() *codegen.Endpoint[int64, int64] {
	appendInt := func(b []byte, n int64) []byte { return pack.AppendInt(b, n) }
	readInt := func(r *pack.Reader) int64 { return r.Int() }
	return &codegen.Endpoint[int64, int64]{
		Desc: offload.Desc{Name: "echoes", Module: codegen.NewModule([]byte("echoes")), Idempotent: true},
		New: func() *codegen.Live[int64, int64] {
			return &codegen.Live[int64, int64]{
				Handle:      func(_ context.Context, n int64, emit func(int64) error) error { return emit(n) },
				AppendState: func(b []byte) []byte { return b },
				ReadState:   func(*pack.Reader) {},
			}
		},
		AppendIn: appendInt, ReadIn: readInt, AppendOut: appendInt, ReadOut: readInt,
	}
}

// The newest message of mode Latest waits while nobody can handle it: it would be lost at
// a host that is, or whose guest is broken.
func TestWhenTheNewestMessageWaits(t *testing.T) {
	gone := at("a")
	gone.lost = errOvertaken
	tests := []struct {
		name  string
		phase phase
		owner *attachment
		set   func(l *latest[int64, int64])
	}{
		{"the guest is broken", serving, at("a"), func(l *latest[int64, int64]) { l.broken = l.owner }},
		{"the host is lost", serving, gone, func(*latest[int64, int64]) {}},
		{"as many as may are under way", preparing, at("a"), func(l *latest[int64, int64]) { l.flying = l.cfg.InFlight }},
		{"one is handled on the UE", serving, nil, func(l *latest[int64, int64]) { l.working = true }},
		{"a Move switches", switching, at("a"), func(*latest[int64, int64]) {}},
		{"a recovery is under way", fenced, at("a"), func(*latest[int64, int64]) {}},
	}
	for _, tt := range tests {
		c, err := Open(echoes(), Config{Mode: Latest})
		if err != nil {
			t.Fatal(err)
		}
		l := c.mode.(*latest[int64, int64])
		l.mu.Lock()
		l.phase, l.owner, l.waiting = tt.phase, tt.owner, &queued[int64]{seq: 1}
		tt.set(l)
		flying := l.flying
		l.resumeLocked()
		if l.waiting == nil || l.flying != flying {
			t.Errorf("%s: the message does not wait", tt.name)
		}
		l.owners = owners{}
		l.mu.Unlock()
		c.Close()
	}
}
