package host_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A UE gives a request up, or goes, at any moment. That is everyday and no warning.
func TestGivenUpRequestsAreNoWarnings(t *testing.T) {
	hello := wire.AppendControl(nil, wire.TypeHello, wire.Hello{Name: "ue", Session: 7})
	put := wire.AppendControl(nil, wire.TypePut, wire.Put{Size: 1000})
	have := wire.AppendControl(nil, wire.TypeHave, wire.Have{})
	call := wire.AppendCall(nil, wire.Call{Size: 1000})
	var log records
	serve(t, host.Config{Logger: slog.New(&log)}, []string{"ue", "ue"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
		for _, request := range [][]byte{hello, put, have, call} {
			for _, n := range []int{1, 3, len(request) - 1, len(request)} {
				st, err := conns[0].Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				st.Write(request[:n])
				time.Sleep(3 * time.Millisecond) // it is there
				st.Reset()
				synctest.Wait()
			}
			st, err := conns[1].Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			st.Write(request[:3])
		}
		time.Sleep(3 * time.Millisecond)
		conns[1].Close("")
		time.Sleep(time.Second)
	})
	for _, r := range log.all() {
		if r.Level >= slog.LevelWarn {
			attrs := ""
			r.Attrs(func(a slog.Attr) bool { attrs += " " + a.String(); return true })
			t.Errorf("%s%s", r.Message, attrs)
		}
	}
}
