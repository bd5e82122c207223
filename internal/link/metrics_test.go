package link_test

import (
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
)

func TestMetrics(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ue, host := w.dial(t, w.air.Endpoint(ueAddr)) // 20 ms there and back
		go echo(host)
		sendAndReceive(t, ue, 100_000)
		before := ue.Metrics()
		if before.Transport != "quic" || before.RTT < 20*time.Millisecond || before.RTT > 30*time.Millisecond || before.MinRTT < 20*time.Millisecond || before.MinRTT > before.RTT {
			t.Errorf("over 20 ms: %+v", before)
		}
		if before.PacketsLost != 0 || before.Loss() != 0 || before.BytesSent < 100_000 || before.BytesReceived < 100_000 || before.Window == 0 {
			t.Errorf("without loss: %+v", before)
		}
		if before.Local.String() != ueAddr.String() || before.Remote.String() != hostAddr.String() {
			t.Errorf("from %v to %v", before.Local, before.Remote)
		}

		w.air.Set(ueAddr.IP, nil, radio.Faults{Loss: 0.1, Rate: 8e6, Jitter: 5 * time.Millisecond}) // 1 MB/s
		sendAndReceive(t, ue, 2_000_000)
		m := ue.Metrics()
		if m.Loss() < 0.03 || m.Loss() > 0.3 || m.Jitter == 0 {
			t.Errorf("of a tenth lost: %.3f, jitter %v", m.Loss(), m.Jitter)
		}
		if r := m.Rate(before); r < 1e4 || r > 1.1e6 {
			t.Errorf("%.0f bytes a second over a way of 1 MB/s", r)
		}
		if h := host.Metrics(); h.Remote.String() != ueAddr.String() || h.BytesReceived < 2_000_000 {
			t.Errorf("the host has %+v", h)
		}

		second := address(2)
		if err := ue.SwitchPath(t.Context(), w.air.Endpoint(second)); err != nil {
			t.Fatal(err)
		}
		m = ue.Metrics()
		if m.Local.String() != second.String() || m.RTT != 0 && m.RTT > 50*time.Millisecond {
			t.Errorf("after a switch: from %s, RTT %v; want %s, and no RTT that nobody measured", m.Local, m.RTT, second)
		}
	})
}

func TestRateOfNothing(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name      string
		m, before link.Metrics
		want      float64
	}{
		{"the same moment", link.Metrics{At: now, BytesSent: 10}, link.Metrics{At: now}, 0},
		{"the wrong way round", link.Metrics{At: now, BytesSent: 10}, link.Metrics{At: now.Add(time.Second)}, 0},
		{"more lost than before", link.Metrics{At: now, BytesSent: 10, BytesLost: 9}, link.Metrics{At: now.Add(-time.Second), BytesSent: 5}, 0},
		{"a second", link.Metrics{At: now, BytesSent: 10, BytesLost: 3}, link.Metrics{At: now.Add(-time.Second), BytesSent: 2}, 5},
	}
	for _, tt := range tests {
		if got := tt.m.Rate(tt.before); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := (link.Metrics{}).Loss(); got != 0 {
		t.Errorf("loss of nothing: %v", got)
	}
}
