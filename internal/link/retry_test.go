package link_test

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/link/linktest"
)

// A flood of handshakes from forged addresses is answered by Retry; who is connected does not
// notice, and who comes gets in.
func TestFloodOfHandshakes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.ue.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		ue, host := w.dial(t, w.air.Endpoint(ueAddr))
		go echo(host)
		sendAndReceive(t, ue, 1000)

		const ports, rounds = 200, 10
		var retries atomic.Int32
		var readers sync.WaitGroup
		var flood []net.PacketConn
		for p := range ports {
			pc := w.air.Endpoint(&net.UDPAddr{IP: net.IPv4(10, 9, 0, 1), Port: 1 + p})
			flood = append(flood, pc)
			readers.Go(func() {
				b := make([]byte, 1500)
				for {
					n, _, err := pc.ReadFrom(b)
					if err != nil {
						return
					}
					if linktest.IsRetry(b[:n]) {
						retries.Add(1)
					}
				}
			})
		}
		for r := range rounds {
			for p, pc := range flood {
				pc.WriteTo(linktest.Initial(r*ports+p), hostAddr)
				time.Sleep(time.Millisecond)
			}
			begin := time.Now()
			sendAndReceive(t, ue, 1000)
			if took := time.Since(begin); took > 30*time.Millisecond {
				t.Errorf("round %d: a session's exchange took %v, want a round trip of 20 ms", r, took)
			}
		}
		for n := range 2 { // one that resumes, and one that does not
			conf := w.ue.Clone()
			if n == 1 {
				conf.ClientSessionCache = nil
			}
			begin := time.Now()
			c, err := link.Dial(t.Context(), w.air.Endpoint(&net.UDPAddr{IP: ueAddr.IP, Port: 50 + n}), hostAddr, conf)
			if err != nil {
				t.Fatal(err)
			}
			select {
			case <-c.Confirmed():
			case <-c.Done():
				t.Fatalf("handshake %d in the flood: %v", n, c.Err())
			}
			if took := time.Since(begin); took > 100*time.Millisecond {
				t.Errorf("a handshake in the flood took %v, want one round trip more at most", took)
			}
			c.Close("")
		}
		time.Sleep(100 * time.Millisecond)
		if got := int(retries.Load()); got < ports*rounds-100-10 {
			t.Errorf("%d of %d were answered by Retry, want all but 100", got, ports*rounds)
		}
		for _, pc := range flood {
			pc.Close()
		}
		readers.Wait()
	})
}

// A host answers each Initial of a flood's first bursts with a Retry, though quic-go drops those that come
// faster than it sends: a UE that comes amid the flood would be one of them.
func TestEachInitialOfAFloodGetsARetry(t *testing.T) {
	const bursts, burst = 10, 40 // within what passes at once
	ca, err := identity.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	conf, err := ca.TLS(identity.Host, "host")
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := link.Listen(pc, conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	ue, err := net.DialUDP("udp4", nil, pc.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ue.Close() })
	retries := 0
	for b := range bursts {
		for i := range burst {
			if _, err := ue.Write(linktest.Initial(b*burst + i)); err != nil {
				t.Fatal(err)
			}
		}
		retries += countRetries(ue, burst)
	}
	t.Logf("%d Retries for %d Initials", retries, bursts*burst)
	if least := (bursts*burst - 100) * 99 / 100; retries < least {
		t.Errorf("want %d at least: the first 100 begin handshakes", least)
	}
}

// countRetries reads until n Retries have come, or nothing comes for a while.
func countRetries(ue *net.UDPConn, n int) (retries int) {
	b := make([]byte, 2048)
	for retries < n {
		ue.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		k, err := ue.Read(b)
		if err != nil {
			break
		}
		if linktest.IsRetry(b[:k]) {
			retries++
		}
	}
	return retries
}
