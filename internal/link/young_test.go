package link_test

import (
	"crypto/tls"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
)

// A handshake counts from its first packet until the UE is known, or gone; and where there is no room for it,
// the UE is told at once.
func TestStrangersCount(t *testing.T) {
	for _, over := range []link.Transport{link.QUIC, link.TCP} {
		t.Run(over.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var under atomic.Int64
				most := int64(3)
				may := func() (func(), bool) {
					if under.Load() == most {
						return nil, false
					}
					under.Add(1)
					return func() { under.Add(-1) }, true
				}
				w.listener.OnStranger(may)
				if over == link.TCP {
					w.listenTCP(t)
					w.tcp.OnStranger(may)
				}
				release := make(chan struct{})
				slow := w.ue.Clone()
				own := slow.Certificates
				slow.Certificates = nil
				slow.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					<-release
					return &own[0], nil
				}
				done := make(chan error, 5)
				dial := func(i int) {
					var c *link.Conn
					var err error
					if over == link.TCP {
						c, err = link.DialTCP(t.Context(), w.stream(t), hostAddr, slow)
					} else {
						addr := *ueAddr
						addr.Port += i
						c, err = link.Dial(t.Context(), w.air.Endpoint(&addr), hostAddr, slow)
					}
					if err == nil {
						t.Cleanup(func() { c.Close("") })
					}
					done <- err
				}
				begin := time.Now()
				for i := range 3 {
					go dial(i)
				}
				time.Sleep(500 * time.Millisecond)
				if n := under.Load(); n != 3 {
					t.Errorf("%d of 3 handshakes under way count", n)
				}
				go dial(3)
				if err := <-done; err == nil || time.Since(begin) > time.Second {
					t.Errorf("a handshake without room: %v after %v; want it refused at once", err, time.Since(begin))
				}
				close(release)
				for range 3 {
					if err := <-done; err != nil {
						t.Errorf("a handshake that had room: %v", err)
					}
				}
				time.Sleep(500 * time.Millisecond)
				if n := under.Load(); n != 0 {
					t.Errorf("%d handshakes count when all UEs are known", n)
				}
				release = make(chan struct{})
				go dial(4)
				time.Sleep(5 * time.Second) // nobody waits for it for so long
				if n := under.Load(); n != 0 {
					t.Errorf("%d handshakes count when their UE has given up", n)
				}
				close(release)
				<-done
			})
		})
	}
}
