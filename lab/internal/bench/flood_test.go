package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A flood sends at its rate from all its ports, and counts only Retries.
func TestFlood(t *testing.T) {
	host, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	from := map[string]int{}
	done := make(chan int)
	go func() {
		n := 0
		for b := make([]byte, 2048); ; n++ {
			k, addr, err := host.ReadFrom(b)
			if err != nil {
				done <- n
				return
			}
			if k != 1200 {
				t.Errorf("a packet of %d bytes; an Initial has 1200 at least", k)
			}
			from[addr.String()]++
			host.WriteTo([]byte{0xf0 &^ byte(n%2<<4)}, addr) // each second one is none
		}
	}()
	var out bytes.Buffer
	const all = 60 // few enough for the host's socket if they come at once
	f := Flood{To: host.LocalAddr().String(), Ports: 7, Rate: 200, For: 300 * time.Millisecond}
	if err := f.Run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	host.Close()
	came := <-done
	var got toll
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Sent != all || came != all || got.Retries != all/2 || len(from) != f.Ports {
		t.Errorf("%+v; %d came from %d ports; want %d sent, half of them answered by Retry, from %d", got, came, len(from), all, f.Ports)
	}
}

// A flood of nobody says so.
func TestFloodOfNoHost(t *testing.T) {
	f := Flood{To: "127.0.0.1", Ports: 1, Rate: 1, For: time.Second}
	if err := f.Run(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "missing port") {
		t.Errorf("got %v", err)
	}
}

// A sink says where it is, and ends with its context.
func TestSink(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Sink{"127.0.0.1:0"}.Run(ctx, w) }()
	b := make([]byte, 100)
	n, err := r.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	addr, ok := strings.CutPrefix(strings.TrimSpace(string(b[:n])), "listening on ")
	c, err := net.Dial("udp", addr)
	if !ok || err != nil {
		t.Fatalf("it says %q: %v", b[:n], err)
	}
	defer c.Close()
	if _, err := c.Write(make([]byte, 1200)); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("it ends with %v", err)
	}
}
