package link_test

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
)

const mib = 1 << 20

// Windows over QUIC grow as the host's handler allows, and where it allows nothing the bytes
// come all the same.
func TestGrowthOverQUIC(t *testing.T) {
	for _, most := range []int64{0, 1 * mib, 100 * mib} {
		inWorld(t, func(t *testing.T, w *world) {
			ue, host := w.dial(t, w.air.Endpoint(ueAddr))
			var asked, given atomic.Int64
			host.OnGrowth(func(n int64) bool {
				asked.Add(1)
				if given.Load()+n > most {
					return false
				}
				given.Add(n)
				return true
			})
			const size = 30 * mib
			send(t, ue, size, 3, false)
			st, err := host.Accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, st); n != size || err != nil {
				t.Errorf("%d bytes came, %v; want %d", n, err, size)
			}
			if asked.Load() == 0 || given.Load() > most || most > 10*mib && given.Load() == 0 {
				t.Errorf("asked %d times, %d bytes given; want some, and %d at most", asked.Load(), given.Load(), most)
			}
			ue.OnGrowth(func(int64) bool { t.Error("a UE's own connection asks"); return false })
		})
	}
}

// What a UE sends over TCP and nobody reads is bounded by the first window and what was allowed.
func TestGrowthOverTCP(t *testing.T) {
	for _, tt := range []struct {
		name string
		may  func(n int64) bool
		most int
	}{
		{"nothing more", func(int64) bool { return false }, link.FirstWindow},
		{"4 MiB more", upTo(4 * mib), link.FirstWindow + 4*mib},
		{"nobody decides", nil, 32 * mib},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				ue, host := w.dialTCP(t)
				if tt.may != nil {
					host.OnGrowth(tt.may)
				}
				go func() { // it accepts each stream, which gives it a window of 1 MiB, and reads none
					for err := error(nil); err == nil; {
						_, err = host.Accept(t.Context())
					}
				}()
				sent := 0
				for range 40 {
					st, err := ue.Open(t.Context())
					if err != nil {
						break
					}
					st.SetWriteDeadline(time.Now().Add(time.Second))
					n, err := st.Write(make([]byte, mib))
					sent += n
					if err != nil {
						if !errors.Is(err, os.ErrDeadlineExceeded) {
							t.Errorf("a stream that is not read: %v, want a missed deadline", err)
						}
						break
					}
				}
				const onTheWay = 2 * mib // in buffers of TCP and yamux
				if sent < tt.most-mib || sent > tt.most+onTheWay {
					t.Errorf("a UE has sent %d bytes that nobody reads; want about %d", sent, tt.most)
				}
			})
		})
	}
}

// upTo allows most bytes in all.
func upTo(most int64) func(int64) bool {
	return func(n int64) bool {
		if most < n {
			return false
		}
		most -= n
		return true
	}
}
