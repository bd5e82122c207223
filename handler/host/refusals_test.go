package host_test

import (
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A tenant that asks for what is refused again and again is told of 200 refusals at once, of 100 a second from then on, and
// of the others after a pause each; another tenant is told at once. The same is true of calls, of control frames, and of
// frames that nobody knows.
func TestRefusalsArePaced(t *testing.T) {
	const streams, each = 8, 250
	for name, frame := range map[string][]byte{
		"a call of no module": call(wasm), "an attach of no module": wire.AppendAttach(nil, wire.Attach{ID: 1, Window: 1, Module: [32]byte{1}}), "no frame": {0x7f},
	} {
		t.Run(name, func(t *testing.T) {
			serve(t, host.Config{}, []string{"bad", "good"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
				begin := time.Now()
				failOf(t, ask(t, conns[0], frame, true))
				if took := time.Since(begin); took > 100*time.Millisecond {
					t.Errorf("the first refusal takes %v", took)
				}
				var all sync.WaitGroup
				for range streams {
					all.Go(func() {
						for range each {
							ask(t, conns[0], frame, true)
						}
					})
				}
				time.Sleep(5 * time.Second)
				now := time.Now()
				failOf(t, ask(t, conns[1], frame, true))
				if took := time.Since(now); took > 100*time.Millisecond {
					t.Errorf("beside it another tenant's refusal takes %v", took)
				}
				all.Wait()
				// Each second 100 and, from each stream, two.
				if took, least := time.Since(begin), time.Duration(streams*each-200)*time.Second/(100+2*streams); took < least*9/10 {
					t.Errorf("%d refusals in %v; want no sooner than %v", streams*each, took, least)
				}
			})
		})
	}
}
