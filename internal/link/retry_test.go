package link_test

import (
	"crypto/tls"
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
)

// initial returns a packet that begins a handshake, as far as a host can tell before it has
// looked at what is inside (RFC 9000 section 17.2.2).
func initial(n int) []byte {
	b := make([]byte, 1200)
	b[0] = 0xc3
	binary.BigEndian.PutUint32(b[1:], 1) // the version
	b[5] = 8                             // the length of the host's connection ID
	binary.BigEndian.PutUint64(b[6:], uint64(n)+1<<32)
	b[14], b[15] = 0, 0                                        // no ID of the UE, no token
	binary.BigEndian.PutUint16(b[16:], 0x4000|uint16(1200-18)) // the rest
	return b
}

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
					if n > 0 && b[0]&0xf0 == 0xf0 {
						retries.Add(1)
					}
				}
			})
		}
		for r := range rounds {
			for p, pc := range flood {
				pc.WriteTo(initial(r*ports+p), hostAddr)
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
			<-c.Confirmed()
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
