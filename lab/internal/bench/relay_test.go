package bench

import (
	"bytes"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// arrivals sends n packets of size bytes at once and returns when they arrived.
func arrivals(w weather, n, size int) []time.Duration {
	l := newLane(w, 1)
	begin := time.Now()
	var at []time.Duration
	for range n {
		l.send(make([]byte, size), func([]byte) { at = append(at, time.Since(begin)) })
	}
	l.end()
	return at
}

func TestLane(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		why         string
		weather     weather
		arrived     int // of 100 packets of 1000 bytes
		first, last time.Duration
	}{
		{"all are delayed", weather{delay: 5 * ms}, 100, 5 * ms, 5 * ms},
		{"a rate spaces them", weather{delay: 5 * ms, rate: 80e6}, 100, 5*ms + 100*time.Microsecond, 15 * ms},
		{"a queue holds what goes out in 50 ms", weather{rate: 8e6}, 51, ms, 51 * ms},
		{"all can be lost", weather{loss: 1}, 0, 0, 0},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			at := arrivals(tt.weather, 100, 1000)
			if len(at) != tt.arrived {
				t.Fatalf("%s: %+v: %d of 100 arrived, want %d", tt.why, tt.weather, len(at), tt.arrived)
			}
			if len(at) > 0 && (at[0] != tt.first || at[len(at)-1] != tt.last) {
				t.Errorf("%s: %+v: they arrived from %v to %v, want %v to %v", tt.why, tt.weather, at[0], at[len(at)-1], tt.first, tt.last)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		if n := len(arrivals(weather{loss: 0.1}, 10000, 1)); n < 8800 || n > 9200 {
			t.Errorf("%d of 10000 packets arrived at 10 %% loss", n)
		}
	})
}

// echo sends back what comes, each read by itself.
func echo(read func([]byte) (int, func([]byte), error)) {
	b := make([]byte, 1<<10)
	for {
		n, answer, err := read(b)
		if err != nil {
			return
		}
		answer(b[:n])
	}
}

func exchangeOver(t *testing.T, network, address string, atLeast time.Duration) {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	begin := time.Now()
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	n, err := c.Read(b)
	if err != nil || !bytes.Equal(b[:n], []byte("ping")) {
		t.Errorf("%s: got %q, %v; want what was sent", network, b[:n], err)
	}
	if took := time.Since(begin); took < atLeast {
		t.Errorf("%s: there and back took %v, under %v", network, took, atLeast)
	}
}

func TestRelays(t *testing.T) {
	const delay = 2 * time.Millisecond
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	go echo(func(b []byte) (int, func([]byte), error) {
		n, from, err := pc.ReadFrom(b)
		return n, func(b []byte) { pc.WriteTo(b, from) }, err
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			echo(func(b []byte) (int, func([]byte), error) {
				n, err := c.Read(b)
				return n, func(b []byte) { c.Write(b) }, err
			})
			c.Close()
		}
	}()
	udp, err := relayUDP(weather{delay: delay}, pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	exchangeOver(t, "udp", udp.address, 2*delay)
	exchangeOver(t, "udp", udp.address, 2*delay) // another near end
	if err := udp.end(); err != nil {
		t.Error(err)
	}
	tcp, err := relayTCP(delay, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	exchangeOver(t, "tcp", tcp.address, 2*delay)
	if err := tcp.end(); err != nil {
		t.Error(err)
	}
}
