package link

import (
	"crypto/tls"
	"net"
	"sync"
	"testing"

	"github.com/bungee-xr/bungee/internal/identity"
)

// Sockets come and go while a transport reads and writes. What it reads was sent
// to a socket of the slot, and it ends with the slot.
func TestSlotHammer(t *testing.T) {
	var socks []*socket
	for range 4 {
		pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		socks = append(socks, newSocket(pc))
	}
	sl, pc := newSlot(socks[0])
	sl.steady.Store(true)
	var wg sync.WaitGroup
	wg.Go(func() { // quic-go reads in one goroutine
		b := make([]byte, 16)
		for {
			if _, _, err := pc.ReadFrom(b); err != nil {
				return
			}
		}
	})
	for range 2 {
		wg.Go(func() {
			for range 2000 {
				pc.WriteTo([]byte("to whoever is there"), pc.LocalAddr())
			}
		})
	}
	for n := range 2000 {
		s := socks[n%len(socks)]
		switch before := sl.put(s); {
		case n%7 == 0:
			sl.take(s)
		case n%11 == 0:
			sl.put(before)
		}
	}
	if err := sl.Close(); err != nil {
		t.Error(err)
	}
	if before := sl.put(socks[0]); before != nil {
		t.Error("a closed slot took a socket")
	}
	wg.Wait()
}

func TestResetKey(t *testing.T) {
	conf := func() *tls.Config {
		ca, err := identity.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		c, err := ca.TLS(identity.Host, "host")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := conf(), conf()
	here, there := &net.UDPAddr{Port: 1}, &net.UDPAddr{Port: 2}
	key := resetKey(a, here)
	if again := resetKey(a, here); key == nil || *again != *key {
		t.Errorf("a restarted host has %x, had %x", again, key)
	}
	if other := resetKey(a, there); *other == *key {
		t.Error("two hosts with one certificate have one key")
	}
	if other := resetKey(b, here); *other == *key {
		t.Error("two certificates have one key")
	}
	for name, c := range map[string]*tls.Config{
		"no certificate":                 {},
		"a key that cannot be looked at": {Certificates: []tls.Certificate{{PrivateKey: "in hardware"}}},
	} {
		if got := resetKey(c, here); got != nil {
			t.Errorf("%s: got %x, want none", name, got)
		}
	}
}
