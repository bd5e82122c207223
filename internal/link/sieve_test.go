package link

import (
	"encoding/binary"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// initial returns an Initial with IDs and a token of these sizes.
func initial(ours, theirs, token int) []byte {
	b := append([]byte{0xc0}, binary.BigEndian.AppendUint32(nil, 1)...)
	b = append(append(b, byte(ours)), make([]byte, ours)...)
	b = append(append(b, byte(theirs)), make([]byte, theirs)...)
	b = append(append(b, byte(token)), make([]byte, token)...)
	return append(b, make([]byte, 1200-len(b))...)
}

func TestOpening(t *testing.T) {
	other := initial(8, 0, 0)
	binary.BigEndian.PutUint32(other[1:], 0x6b3343cf)
	tests := []struct {
		name         string
		b            []byte
		opens, token bool
	}{
		{"nothing", nil, false, false},
		{"a packet of a connection", []byte{0x40, 1, 2, 3, 4, 5, 6, 7}, false, false},
		{"an Initial", initial(8, 0, 0), true, false},
		{"with an ID of the UE", initial(20, 20, 0), true, false},
		{"with a token", initial(8, 4, 60), true, true},
		{"0-RTT", append([]byte{0xd0}, initial(8, 0, 0)[1:]...), false, false},
		{"a handshake packet", append([]byte{0xe0}, initial(8, 0, 0)[1:]...), false, false},
		{"another version", other, true, false},
		{"cut in the first ID", initial(20, 20, 0)[:20], true, false},
		{"cut in the second ID", initial(20, 20, 0)[:40], true, false},
		{"cut before the token", initial(8, 0, 60)[:15], true, false},
	}
	for _, tt := range tests {
		if opens, token := opening(tt.b); opens != tt.opens || token != tt.token {
			t.Errorf("%s: opens a handshake: %v, has a token: %v; want %v, %v", tt.name, opens, token, tt.opens, tt.token)
		}
	}
}

func FuzzOpening(f *testing.F) {
	for _, b := range [][]byte{nil, initial(8, 0, 0), initial(20, 20, 60), initial(8, 0, 0)[:7], {0xc0, 0, 0, 0, 1, 0, 0}, {0xc0, 0, 0, 0, 1, 255, 255, 255}} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if opens, token := opening(b); token && !opens {
			t.Error("it has a token and opens nothing")
		}
	})
}

// Of a flood without tokens a part passes, and all else does. A flood from one network leaves half of that to others.
func TestSieve(t *testing.T) {
	for _, tt := range []struct {
		why  string
		from func(i int) net.Addr
		want float64 // of what passes
	}{
		{"forged addresses are everybody's", func(i int) net.Addr {
			return &net.UDPAddr{IP: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)), Port: 1}
		}, 1},
		{"a network has half, from whatever ports", func(i int) net.Addr {
			return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1 + i}
		}, 0.5},
		{"a /64 is one network", func(i int) net.Addr {
			return &net.UDPAddr{IP: net.IP{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)}, Port: 1}
		}, 0.5},
	} {
		t.Run(tt.why, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testSieve(t, tt.from, tt.want) }) })
	}
}

func testSieve(t *testing.T, from func(i int) net.Addr, part float64) {
	s := newSieve()
	const seconds = 5
	flood, passed, others := initial(8, 0, 0), 0, 0
	quiet := &net.UDPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 1}
	for s.partOf(quiet) == s.partOf(from(0)) { // as in one of 64 cases
		s = newSieve()
	}
	for i := range seconds * 10_000 {
		if s.passes(flood, from(i)) {
			passed++
		}
		if i%10 == 0 && !s.passes(initial(8, 0, 60), quiet) {
			t.Fatalf("after %v an Initial with a token is held back", time.Duration(i)*100*time.Microsecond)
		}
		if i%100 == 0 && part < 1 && s.passes(flood, quiet) {
			others++
		}
		if !s.passes([]byte{0x40, 1, 2, 3, 4, 5, 6, 7}, from(i)) {
			t.Fatal("a packet of a connection is held back")
		}
		time.Sleep(100 * time.Microsecond)
	}
	if want := int(part * (openingsPerSecond*seconds + openingsAtOnce)); passed < want-10 || passed > want+10 {
		t.Errorf("%d of %d Initials pass in %d s, want %d", passed, seconds*10_000, seconds, want)
	}
	if part < 1 && others != seconds*100 {
		t.Errorf("%d of %d Initials from elsewhere pass beside a flood, want all", others, seconds*100)
	}
}
